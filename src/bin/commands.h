/* commands: one function a subcommand, each in a file cmd_NAME.c; main.c holds the table. argv[0] is the
 * subcommand's name. They return the exit code. */
#ifndef BIN_COMMANDS_H
#define BIN_COMMANDS_H

int cmd_serve(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_why(int argc, char **argv);
int cmd_user(int argc, char **argv);
int cmd_alias(int argc, char **argv);
int cmd_grants(int argc, char **argv);
int cmd_pop(int argc, char **argv);
int cmd_group(int argc, char **argv);
int cmd_queue(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_send(int argc, char **argv);
int cmd_relaytest(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_blocklist(int argc, char **argv);
int cmd_dns(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
/* The program called as sendmail, mailq or newaliases. */
int cmd_sendmail(int argc, char **argv);

#endif
