/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said to `sluice chat`: for --help and for /help. */
#ifndef SL_CLI_CHAT_HELP_H
#define SL_CLI_CHAT_HELP_H

#include <stdio.h>

void sl_chat_help(FILE *f);          /* turns, keys and commands */
void sl_chat_help_commands(FILE *f); /* commands only */
void sl_chat_help_templates(FILE *f);

#endif
