/* SPDX-License-Identifier: Apache-2.0 */
#include "card/emulation.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

/*
 * Debian's build of the emulation writes into freed memory when a message is larger than all
 * before it. The first message carries the [Debug] and [Emulation] keys: a key longer than any
 * later message makes it the largest. packet_size bounds the later ones.
 */
enum { PACKET_BYTES = 65536, PAD = PACKET_BYTES + 4464 };

static int refuse(const struct sl_emulation *e, const char *what)
{
    return sl_fail(SL_ERR_IO, "is there room in /tmp?", "cannot write %s/%s", e->dir, what);
}

static FILE *create(const struct sl_emulation *e, const char *name)
{
    char path[SL_EMULATION_PATH];
    snprintf(path, sizeof path, "%s/%s", e->dir, name);
    return fopen(path, "w");
}

static int finish(const struct sl_emulation *e, FILE *file, const char *name)
{
    const bool bad = !file || ferror(file);
    return (file && fclose(file)) || bad ? refuse(e, name) : 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int write_ini(const struct sl_emulation *e, const struct sl_emulation_params *p)
{
    FILE *file = create(e, "xrt.ini");
    if (!file)
        return refuse(e, "xrt.ini");
    fprintf(file,
            "[Emulation]\npacket_size=%d\nprint_infos_in_console=false\nkeep_run_dir=false\n%s"
            "[Debug]\n%spad=",
            PACKET_BYTES, p->no_sleep ? "" : "system_dpa=false\n",
            p->profile ? "native_xrt_trace=true\ndevice_counters=true\n" : "");
    for (int i = 0; i < PAD; i++)
        fputc('A', file);
    fputc('\n', file);
    return finish(e, file, "xrt.ini");
}

static int write_cards(const struct sl_emulation *e)
{
    FILE *file = create(e, "emconfig.json");
    if (file)
        fprintf(file,
                "{\"Version\": {\"FileVersion\": \"2.0\", \"ToolVersion\": \"2022.1\"},\n"
                "\"Platform\": {\"UnifiedPlatform\": \"true\", \"ExpandedPR\": \"false\", "
                "\"Boards\": [{\"NumBoards\": \"1\", \"Devices\": [{\n"
                "\"Name\": \"sluice_emulated_card\", \"HalMajorVersion\": \"1\", "
                "\"HalMinorVersion\": \"0\", \"VendorId\": \"4334\", \"SubsystemVendorId\": "
                "\"0\", \"DeviceVersion\": \"0\",\n\"DataAlignment\": \"4096\", "
                "\"OclFreqency\": \"225\", \"NumDevices\": \"%d\",\n"
                "\"DdrBanks\": [{\"Size\": \"16GB\"}], \"FeatureRom\": "
                "{\"Feature_Bitmap\": \"0\"}}]}]}}\n",
                SL_EMULATION_MAX_CARD);
    return finish(e, file, "emconfig.json");
}

/* XRT looks for lib/ in its tree; Debian has the libraries in the multiarch folder. */
static int link_tree(const struct sl_emulation *e)
{
    char path[SL_EMULATION_PATH];
    snprintf(path, sizeof path, "%s/xrt", e->dir);
    if (mkdir(path, 0700))
        return refuse(e, "xrt");
    snprintf(path, sizeof path, "%s/xrt/lib", e->dir);
    const char *lib =
        access("/opt/xilinx/xrt/lib", F_OK) ? "/usr/lib/x86_64-linux-gnu" : "/opt/xilinx/xrt/lib";
    return symlink(lib, path) ? refuse(e, "xrt/lib") : 0;
}

/* The platforms that the machine has anyway, each by its own name. */
static void link_vendors(const struct sl_emulation *e)
{
    char path[SL_EMULATION_PATH];
    glob_t found;
    if (glob("/etc/OpenCL/vendors/*.icd", 0, NULL, &found))
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const int n = snprintf(path, sizeof path, "%s/vendors/%s", e->dir,
                               strrchr(found.gl_pathv[i], '/') + 1);
        /* One that cannot be linked is missing in the list, and nothing else. */
        const bool linked = n > 0 && (size_t)n < sizeof path && !symlink(found.gl_pathv[i], path);
        (void)linked;
    }
    globfree(&found);
}

static int write_vendors(const struct sl_emulation *e)
{
    char path[SL_EMULATION_PATH];
    snprintf(path, sizeof path, "%s/vendors", e->dir);
    if (mkdir(path, 0700))
        return refuse(e, "vendors");
    link_vendors(e);
    snprintf(path, sizeof path, "%s/vendors/xilinx.icd", e->dir);
    unlink(path);
    FILE *file = create(e, "vendors/xilinx.icd");
    if (file)
        fprintf(file, "%s/xrt/lib/libxilinxopencl.so.2\n", e->dir);
    return finish(e, file, "vendors/xilinx.icd");
}

static int make_fifo(struct sl_emulation *e)
{
    char path[SL_EMULATION_PATH];
    snprintf(path, sizeof path, "%s/life", e->dir);
    if (mkfifo(path, 0600))
        return refuse(e, "life");
    e->life = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return e->life < 0 ? refuse(e, "life") : 0;
}

/* Written by the board, read here. */
static int map_shown(struct sl_emulation *e)
{
    char path[SL_EMULATION_PATH];
    snprintf(path, sizeof path, "%s/shown", e->dir);
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    void *map = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof *e->shown) == 0)
        map = mmap(NULL, sizeof *e->shown, PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (map == MAP_FAILED)
        return refuse(e, "shown");
    e->shown = map;
    return 0;
}

/* ---- environment ---------------------------------------------------------------------------- */

static int set(struct sl_emulation *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int set(struct sl_emulation *e, const char *fmt, ...)
{
    unsigned n = 0;
    va_list args;
    while (e->env[n])
        n++;
    va_start(args, fmt);
    const int made = n + 1 < SL_EMULATION_ENV ? vasprintf(&e->env[n], fmt, args) : -1;
    va_end(args);
    if (made >= 0)
        return 0;
    e->env[n < SL_EMULATION_ENV ? n : 0] = NULL;
    return sl_fail(SL_ERR_NOMEM, NULL, "no memory for an environment");
}

static int set_all(struct sl_emulation *e, const struct sl_emulation_params *p)
{
    /* USER: sockets are made in /tmp/$USER, so that they too lie in the folder. */
    int err = set(e, "XCL_EMULATION_MODE=hw_emu");
    err = err ? err : set(e, "XILINX_XRT=%s/xrt", e->dir);
    err = err ? err : set(e, "USER=%s", e->dir + sizeof "/tmp/" - 1);
    err = err ? err : set(e, "XRT_INI_PATH=%s/xrt.ini", e->dir);
    err = err ? err : set(e, "EMCONFIG_PATH=%s", e->dir);
    err = err ? err : set(e, "SDACCEL_EM_RUN_DIR=%s", e->dir);
    err = err ? err : set(e, "OCL_ICD_VENDORS=%s/vendors", e->dir);
    err = err ? err : set(e, "SLUICE_BOARD=%s", p->board);
    err = err ? err : set(e, "SLUICE_BOARD_LOG=%s/board.log", e->dir);
    err = err ? err : set(e, "SLUICE_BOARD_LIFE=%s/life", e->dir);
    err = err ? err : set(e, "SLUICE_BOARD_SHOWN=%s/shown", e->dir);
    if (!err && p->no_sleep)
        err = set(e, "LD_PRELOAD=%s/libsl_nosleep.so", p->helpers);
    return err;
}

/* ---- the whole ------------------------------------------------------------------------------ */

enum { DESCRIPTORS = 16 }; /* that removing a tree may hold */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    remove(path);
    return 0;
}

/* Folders of programs that were killed. */
static void sweep(void)
{
    glob_t found;
    if (glob("/tmp/sluice-*-*", GLOB_ONLYDIR, NULL, &found))
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct stat st;
        const long pid = strtol(found.gl_pathv[i] + sizeof "/tmp/sluice-" - 1, NULL, 10);
        if (pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH && !lstat(found.gl_pathv[i], &st) &&
            S_ISDIR(st.st_mode) && st.st_uid == getuid())
            nftw(found.gl_pathv[i], remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    }
    globfree(&found);
}

int sl_emulation_open(struct sl_emulation *out, const struct sl_emulation_params *p)
{
    struct sl_emulation e = {.life = -1};
    snprintf(e.dir, sizeof e.dir, "/tmp/sluice-%d-XXXXXX", (int)getpid());
    sweep();
    if (!mkdtemp(e.dir))
        return sl_fail(SL_ERR_IO, "is there room in /tmp?", "cannot make a folder in /tmp");
    int err = write_ini(&e, p);
    err = err ? err : write_cards(&e);
    err = err ? err : link_tree(&e);
    err = err ? err : write_vendors(&e);
    err = err ? err : make_fifo(&e);
    err = err ? err : map_shown(&e);
    err = err ? err : set_all(&e, p);
    if (err)
        sl_emulation_close(&e);
    else
        *out = e;
    return err;
}

void sl_emulation_close(struct sl_emulation *e)
{
    for (unsigned i = 0; i < SL_EMULATION_ENV; i++)
        free(e->env[i]);
    if (e->life >= 0)
        close(e->life);
    if (e->shown)
        munmap((void *)(uintptr_t)e->shown, sizeof *e->shown);
    if (e->dir[0])
        nftw(e->dir, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    *e = (struct sl_emulation){.life = -1};
}

void sl_emulation_last_line(const struct sl_emulation *e, const char *name, char *out, size_t cap)
{
    char path[SL_EMULATION_PATH], line[400];
    snprintf(path, sizeof path, "%s/%s", e->dir, name);
    FILE *file = fopen(path, "r");
    out[0] = 0;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0])
            snprintf(out, cap, "%s", line);
    }
    if (file)
        fclose(file);
}
