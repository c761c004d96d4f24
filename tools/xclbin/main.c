/* SPDX-License-Identifier: Apache-2.0 */
/* slxclbin: makes xclbins for hardware emulation, looks into any, prints inputs of the vendor's
 * tools. */
#include <stdlib.h>
#include <string.h>

#include "pack.h"

static const char usage[] =
    "usage: slxclbin COMMAND ...\n"
    "  pack CARD PxT rtl|hls BOARD CORE.so OUT.xclbin   a container for XRT's hardware emulation\n"
    "  show FILE [--json]                               what a container holds\n"
    "  extract FILE SECTION OUT                         the bytes of a section, by its number\n"
    "  print WHAT CARD PxT rtl|hls                      a generated file on stdout\n"
    "  cards                                            the cards\n"
    "WHAT: kernel.xml package.tcl sl_core_kernel.sv hls.cfg link.cfg pblock.tcl metadata.xml\n";

static int bad_usage(const char *why)
{
    fprintf(stderr, "error: %s; hint: slxclbin --help\n", why);
    return 2;
}

static bool read_target(struct target *t, char **arg, const char **why)
{
    unsigned p, n;
    char end;
    *why = "write the shape as PxT, the kernel as rtl or hls";
    if (sscanf(arg[1], "%ux%u%c", &p, &n, &end) != 2 ||
        (strcmp(arg[2], "rtl") != 0 && strcmp(arg[2], "hls") != 0))
        return false;
    return target_make(t, arg[0], p, n, !strcmp(arg[2], "hls"), why);
}

static int print_file(const char *what, const struct target *t)
{
    static const struct file {
        const char *name;
        void (*print)(FILE *, const struct target *);
    } files[] = {{"kernel.xml", print_kernel_xml},     {"package.tcl", print_package_tcl},
                 {"sl_core_kernel.sv", print_wrapper}, {"hls.cfg", print_hls_cfg},
                 {"link.cfg", print_link_cfg},         {"pblock.tcl", print_pblock_tcl},
                 {"metadata.xml", print_metadata}};
    for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++)
        if (!strcmp(files[i].name, what)) {
            files[i].print(stdout, t);
            return fflush(stdout) ? 1 : 0;
        }
    return bad_usage("no such file is generated");
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "", *why = "that is not how a command is used";
    struct target t;
    if (!strcmp(command, "--help") || !strcmp(command, "-h")) {
        fputs(usage, stdout);
        return 0;
    }
    if (!strcmp(command, "cards")) {
        for (unsigned i = 0; i < n_card; i++)
            printf("%-6s %-38s %s\n", cards[i].name, cards[i].platform, cards[i].doc);
        return 0;
    }
    if (!strcmp(command, "show") && (argc == 3 || (argc == 4 && !strcmp(argv[3], "--json"))))
        return show(argv[2], argc == 4) ? 0 : 1;
    if (!strcmp(command, "extract") && argc == 5)
        return extract(argv[2], (unsigned)strtoul(argv[3], NULL, 10), argv[4]) ? 0 : 1;
    if (!strcmp(command, "pack") && argc == 8 && read_target(&t, argv + 2, &why))
        return pack(argv[7], &t, argv[5], argv[6]) ? 0 : 1;
    if (!strcmp(command, "print") && argc == 6 && read_target(&t, argv + 3, &why))
        return print_file(argv[2], &t);
    return bad_usage(why);
}
