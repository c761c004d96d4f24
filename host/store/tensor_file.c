/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tensor_file.h"

int sl_tensor_file_open(struct sl_tensor_file *out, const char *const *path, size_t n,
                        enum sl_tensor_format format)
{
    *out = (struct sl_tensor_file){0};
    if (format == SL_TENSORS_TORCH) {
        int err = sl_torch_file_open(&out->torch, path[0]);
        if (err)
            return err;
        out->path = out->torch.path;
        out->tensor = out->torch.tensor;
        out->n_tensor = out->torch.n_tensor;
        return 0;
    }
    int err = sl_safetensors_open_pieces(&out->safetensors, path, n);
    if (err)
        return err;
    out->path = out->safetensors.path;
    out->tensor = out->safetensors.tensor;
    out->n_tensor = out->safetensors.n_tensor;
    return 0;
}

void sl_tensor_file_close(struct sl_tensor_file *file)
{
    sl_safetensors_close(&file->safetensors);
    sl_torch_file_close(&file->torch);
    *file = (struct sl_tensor_file){0};
}

const char *sl_tensor_file_unread(const struct sl_tensor_file *file, const char *name)
{
    return sl_torch_file_unread(&file->torch, name);
}
