# SPDX-License-Identifier: Apache-2.0
# One file from hls/core.cl: every #include "name" replaced by that file's text, found in the folders of `path`. A header
# comes once, where it is first named: all have guards, and none is included under a condition.
# awk -v path="hls abi" -f flatten.awk hls/core.cl
function find(name, i, n, dir, file, line) {
    n = split(path, dir, " ")
    for (i = 1; i <= n; i++) {
        file = dir[i] "/" name
        if ((getline line < file) >= 0) {
            close(file)
            return file
        }
    }
    print "error: " name " is in none of: " path > "/dev/stderr"
    failed = 1
    exit 1
}
# Files open at once are told apart by their depth: each is read whole before the next is begun.
function expand(file, depth, text, n, i, part) {
    n = 0
    while ((getline text < file) > 0)
        lines[depth, ++n] = text
    close(file)
    for (i = 1; i <= n && !failed; i++) {
        text = lines[depth, i]
        if (text ~ /^#include "/) {
            split(text, part, "\"")
            if (part[2] !~ /\.h$/ || !seen[part[2]]++)
                expand(find(part[2]), depth + 1)
        } else
            print text
    }
}
BEGIN {
    expand(ARGV[1], 0)
    exit failed
}
