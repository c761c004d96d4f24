/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of conversations, in the order in which they are tried. Where one is not known better
 * than from a published tokenizer_config.json, that is what is followed; tools, dates and defaults
 * that such files also put in are left out.
 *
 * hunyuan  Hunyuan-Large. A system message without text still writes its first token, and the turn
 *          behind it begins with that token again: so does the released template. That one also
 *          wraps a user's message at the very beginning as if it were a system message, which is
 *          taken for an error (later files of the same authors do not). Hunyuan-A13B: the same
 *          tokens; its own file was not available, nor what it does about <think>.
 * yuan     Yuan 2.0-M32 has no formal template: an instruction is followed by <sep>, the answer
 *          ends with <eod>; in the examples earlier turns and answers stand in front, one a line.
 *          No system message.
 * chatml   Qwen3 and others. The answer begins with whatever the model thinks; what it thought
 *          stays in the conversation (Qwen3's own file drops it from past answers).
 * llama3   Llama 3, without the lines on dates that 3.1 puts in front.
 * mixtral  Mixtral-8x7B-Instruct, as its authors tokenise it (mistral-common, version 1). The blank
 * that sentencepiece puts in front of a text is the tokenizer's matter. llama2   Llama 2 chat. */
#include "engine/chat.h"

const struct sl_chat_template sl_chat_templates[] = {
    {.name = "hunyuan",
     .special = {"<|startoftext|>", "<|extra_0|>", "<|extra_4|>", "<|eos|>"},
     .begin = "",
     .system = "<|startoftext|>%s<|extra_4|>",
     .system_empty = "<|startoftext|>",
     .user = "<|startoftext|>%s<|extra_0|>",
     .user_after_system = "%s<|extra_0|>",
     .open = "",
     .answer = "%s",
     .close = "<|eos|>",
     .end = "<|eos|>"},
    {.name = "yuan",
     .special = {"<sep>", "<eod>"},
     .begin = "",
     .user = "%s",
     .open = "<sep>",
     .past = "\n%s\n",
     .end = "<eod>"},
    {.name = "chatml",
     .special = {"<|im_start|>", "<|im_end|>"},
     .begin = "",
     .system = "<|im_start|>system\n%s<|im_end|>\n",
     .user = "<|im_start|>user\n%s<|im_end|>\n",
     .open = "<|im_start|>assistant\n",
     .answer = "%s",
     .close = "<|im_end|>\n",
     .end = "<|im_end|>"},
    {.name = "llama3",
     .special = {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     .begin = "<|begin_of_text|>",
     .system = "<|start_header_id|>system<|end_header_id|>\n\n%t<|eot_id|>",
     .user = "<|start_header_id|>user<|end_header_id|>\n\n%t<|eot_id|>",
     .open = "<|start_header_id|>assistant<|end_header_id|>\n\n",
     .answer = "%t",
     .close = "<|eot_id|>",
     .end = "<|eot_id|>"},
    {.name = "mixtral",
     .architecture = "mixtral",
     .special = {"<s>", "</s>"},
     .begin = "<s>",
     .system = "[INST] %s\n\n",
     .user = "[INST] %s [/INST]",
     .user_after_system = "%s [/INST]",
     .open = "",
     .answer = " %s",
     .close = "</s>",
     .end = "</s>"},
    {.name = "llama2",
     .architecture = "llama",
     .special = {"<s>", "</s>"},
     .begin = "",
     .system = "<s>[INST] <<SYS>>\n%s\n<</SYS>>\n\n",
     .user = "<s>[INST] %t [/INST]",
     .user_after_system = "%e [/INST]",
     .open = "",
     .answer = " %t ",
     .close = "</s>",
     .end = "</s>"},
};
const size_t sl_n_chat_template = sizeof sl_chat_templates / sizeof sl_chat_templates[0];
