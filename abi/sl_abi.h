/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract as C: constants, structures and field positions, expanded from the .def files. Read
 * by the host and by hls/, as C11 and as OpenCL C 1.2 (where hls_port.h provides the integer types
 * first).
 */
#ifndef SL_ABI_H
#define SL_ABI_H

#ifndef __OPENCL_VERSION__
#include <stddef.h>
#include <stdint.h>
#endif

#include "gen/sl_abi_version.h"

/* SL_<NAME>: limits. */
enum sl_abi_param {
#define PARAM(name, value, doc) SL_##name = value,
#include "params.def"
#undef PARAM
};

/* SL_<GROUP>_<NAME>: operation, format, flag and status codes. */
enum sl_abi_code {
#define CODE(group, name, value, doc) SL_##group##_##name = value,
#include "codes.def"
#undef CODE
};

/* SL_AT_<STRUCT>_<FIELD>: byte offset in the 64-byte structure, for code that sees memory as beats.
 * The width of a field is that of its type. */
enum sl_abi_offset {
#define FIELD(object, type, name, offset, doc) SL_AT_##object##_##name = offset,
#include "desc.def"
#undef FIELD
};

#ifndef __OPENCL_VERSION__

#define FIELD_job(type, name) type name;
#define FIELD_record(type, name)
#define FIELD_slab(type, name)
#define FIELD_caps(type, name)
#define FIELD_route(type, name)
#define FIELD(object, type, name, offset, doc) FIELD_##object(type, name)

struct sl_job {
#include "desc.def"
};
#undef FIELD_job
#undef FIELD_record
#define FIELD_job(type, name)
#define FIELD_record(type, name) type name;
struct sl_record {
#include "desc.def"
};
#undef FIELD_record
#undef FIELD_slab
#define FIELD_record(type, name)
#define FIELD_slab(type, name) type name;
struct sl_slab {
#include "desc.def"
};
#undef FIELD_slab
#undef FIELD_caps
#define FIELD_slab(type, name)
#define FIELD_caps(type, name) type name;
struct sl_caps {
#include "desc.def"
};
#undef FIELD_caps
#undef FIELD_route
#define FIELD_caps(type, name)
#define FIELD_route(type, name) type name;
struct sl_route_entry {
#include "desc.def"
};
#undef FIELD
#undef FIELD_job
#undef FIELD_record
#undef FIELD_slab
#undef FIELD_caps
#undef FIELD_route

#define SL_STRUCT_job sl_job
#define SL_STRUCT_record sl_record
#define SL_STRUCT_slab sl_slab
#define SL_STRUCT_caps sl_caps
#define SL_STRUCT_route sl_route_entry
#define FIELD(object, type, name, offset, doc)                                                     \
    _Static_assert(offsetof(struct SL_STRUCT_##object, name) == (offset), #object "." #name);
#include "desc.def"
#undef FIELD
_Static_assert(sizeof(struct sl_job) == SL_BEAT_BYTES, "job");
_Static_assert(sizeof(struct sl_record) == SL_BEAT_BYTES, "record");
_Static_assert(sizeof(struct sl_slab) == SL_BEAT_BYTES, "slab");
_Static_assert(sizeof(struct sl_caps) == SL_BEAT_BYTES, "caps");
_Static_assert(sizeof(struct sl_route_entry) == SL_BEAT_BYTES, "route");

#endif /* !__OPENCL_VERSION__ */

#endif
