/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled, never run, where libxrt-dev is installed: what is declared here of XRT's interface and
 * of its container format equals the vendor's headers. */
#include <stddef.h>
#include <stdint.h>

#include "xclbin.h"
#include "xrt/xrt_bo.h"
#include "xrt/xrt_device.h"
#include "xrt/xrt_kernel.h"

#include "card/xclbin.h"
#include "card/xrt_api.h"

/* Without a cast: argument by argument. */
static inline void call_all(void *p, const uint8_t *uuid_in, uint8_t *uuid_out)
{
    void *device = xrtDeviceOpen(0u);
    int e = xrtDeviceLoadXclbinFile(device, "x") + xrtDeviceGetXclbinUUID(device, uuid_out);
    void *kernel = xrtPLKernelOpen(device, uuid_in, "x");
    e += xrtKernelArgGroupId(kernel, 0);
    void *bo = xrtBOAlloc(device, (size_t)1, (uint64_t)0, (uint32_t)e);
    p = xrtBOMap(bo);
    e += xrtBOSync(bo, (enum xclBOSyncDirection)SL_XRT_TO_DEVICE, (size_t)1, (size_t)0);
    void *run = xrtRunOpen(kernel);
    e += xrtRunSetArg(run, 0, p) + xrtRunStart(run) + (int)xrtRunWaitFor(run, 1u) +
         (int)xrtRunState(run);
    e += xrtRunClose(run) + xrtBOFree(bo) + xrtKernelClose(kernel) + xrtDeviceClose(device);
    (void)e;
}

#define SAME(a, b) _Static_assert((int)(a) == (int)(b), #a)
SAME(XCL_BO_SYNC_BO_TO_DEVICE, SL_XRT_TO_DEVICE);
SAME(XCL_BO_SYNC_BO_FROM_DEVICE, SL_XRT_FROM_DEVICE);
SAME(ERT_CMD_STATE_COMPLETED, SL_XRT_COMPLETED);
SAME(ERT_CMD_STATE_TIMEOUT, SL_XRT_TIMEOUT);
SAME(BITSTREAM, SL_XCLBIN_BITSTREAM);
SAME(EMBEDDED_METADATA, SL_XCLBIN_METADATA);
SAME(MEM_TOPOLOGY, SL_XCLBIN_MEMORY);
SAME(CONNECTIVITY, SL_XCLBIN_CONNECTIVITY);
SAME(IP_LAYOUT, SL_XCLBIN_IP);
SAME(DEBUG_IP_LAYOUT, SL_XCLBIN_DEBUG_IP);
SAME(CLOCK_FREQ_TOPOLOGY, SL_XCLBIN_CLOCKS);
SAME(BUILD_METADATA, SL_XCLBIN_BUILD);
SAME(XCLBIN_HW_EMU, SL_XCLBIN_MODE_HW_EMU);
SAME(IP_KERNEL, SL_XCLBIN_IP_KERNEL);
SAME(MEM_HBM, SL_XCLBIN_MEM_HBM);
SAME(MEM_DDR4, SL_XCLBIN_MEM_DDR);

#define AT(field, at) SAME(offsetof(struct axlf, field), at)
AT(m_sections, SL_XCLBIN_HEADER);
AT(m_signature_length, SL_XCLBIN_AT_SIGNATURE);
AT(reserved, SL_XCLBIN_AT_KEY);
AT(m_uniqueId, SL_XCLBIN_AT_ID);
AT(m_header.m_length, SL_XCLBIN_AT_LENGTH);
AT(m_header.m_timeStamp, SL_XCLBIN_AT_TIME);
AT(m_header.m_versionPatch, SL_XCLBIN_AT_PATCH);
AT(m_header.m_versionMajor, SL_XCLBIN_AT_MAJOR);
AT(m_header.m_versionMinor, SL_XCLBIN_AT_MINOR);
AT(m_header.m_mode, SL_XCLBIN_AT_MODE);
AT(m_header.m_platformVBNV, SL_XCLBIN_AT_VBNV);
AT(m_header.uuid, SL_XCLBIN_AT_UUID);
AT(m_header.m_numSections, SL_XCLBIN_AT_N_SECTION);
SAME(sizeof(struct axlf_section_header), SL_XCLBIN_SECTION);
SAME(offsetof(struct axlf_section_header, m_sectionOffset), 24);
SAME(offsetof(struct axlf_section_header, m_sectionSize), 32);
SAME(sizeof(struct mem_data), SL_XCLBIN_MEMORY_ENTRY);
SAME(offsetof(struct mem_data, m_size), 8);
SAME(offsetof(struct mem_data, m_base_address), 16);
SAME(offsetof(struct mem_data, m_tag), 24);
SAME(sizeof(struct ip_data), SL_XCLBIN_IP_ENTRY);
SAME(offsetof(struct ip_data, m_base_address), 8);
SAME(offsetof(struct ip_data, m_name), 16);
SAME(sizeof(struct connection), SL_XCLBIN_CONNECTION_ENTRY);
SAME(offsetof(struct mem_topology, m_mem_data), SL_XCLBIN_LIST);
SAME(offsetof(struct ip_layout, m_ip_data), SL_XCLBIN_LIST);
SAME(offsetof(struct connectivity, m_connection), 4);
