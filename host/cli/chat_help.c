/* SPDX-License-Identifier: Apache-2.0 */
#include "chat_help.h"

#include "sluice.h"

void sl_chat_help_commands(FILE *f)
{
    fputs("  /reset, /clear   forget everything but --system\n"
          "  /regen           answer the last turn once more\n"
          "  /help            these commands\n"
          "  /exit            end, as the end of the input (Ctrl-D) does\n"
          "A turn that begins with / needs a blank in front.\n",
          f);
}

void sl_chat_help(FILE *f)
{
    fputs(
        "\nA line is a turn, and the model answers it; with \\ at its end the turn goes on in the\n"
        "next line. Standard input need not be a terminal. What was said stays in the KV cache:\n"
        "only the new turn is read. When the context is full, the oldest turns are dropped.\n"
        "Ctrl-C stops an answer, which stays as far as it came; at the prompt, or a second time,\n"
        "it ends the program.\n",
        f);
    sl_chat_help_commands(f);
}

void sl_chat_help_templates(FILE *f)
{
    fputs("\nchat templates:", f);
    for (size_t i = 0; sl_chat_template_name(i); i++)
        fprintf(f, " %s", sl_chat_template_name(i));
    fputs("\nThey are fixed; text never becomes a special token. The model's own is found by the\n"
          "special tokens of its vocabulary, and by its architecture where these do not tell.\n",
          f);
}
