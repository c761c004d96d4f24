/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_report.h"

static double gib(uint64_t bytes)
{
    return (double)bytes / (1 << 30);
}

void sl_memory_table(FILE *f, const struct sl_memory *m)
{
    fprintf(f, "memory, GiB\n");
    for (size_t i = 0; i < m->n_part; i++)
        if (m->part[i].bytes)
            fprintf(f, "  %-26s %9.3f\n", m->part[i].name, gib(m->part[i].bytes));
    fprintf(f, "  %-26s %9.3f", "altogether", gib(m->total));
    if (m->limit)
        fprintf(f, " of %.3f (%s)", gib(m->limit), m->limit_by);
    fprintf(f, "\n");
    if (!m->n_expert)
        return;
    fprintf(f, "  routed experts in memory   %u of %u, %.2f MiB each%s\n", m->n_expert_held,
            m->n_expert, (double)m->expert_bytes / (1 << 20),
            m->streamed ? "; the others are read from disk when they are wanted" : "");
}

json_t *sl_memory_json(const struct sl_memory *m)
{
    json_t *parts = json_object();
    for (size_t i = 0; i < m->n_part; i++)
        json_object_set_new(parts, m->part[i].name, json_integer((json_int_t)m->part[i].bytes));
    return json_pack("{s:o, s:I, s:I, s:s?, s:b, s:I, s:I, s:I}", "parts", parts, "total",
                     (json_int_t)m->total, "limit", (json_int_t)m->limit, "limit_by", m->limit_by,
                     "streamed", (int)m->streamed, "n_expert", (json_int_t)m->n_expert,
                     "n_expert_held", (json_int_t)m->n_expert_held, "expert_bytes",
                     (json_int_t)m->expert_bytes);
}

void sl_memory_peak_line(FILE *f)
{
    const uint64_t peak = sl_memory_peak();
    if (peak)
        fprintf(f, "peak memory %.3f GiB\n", gib(peak));
}
