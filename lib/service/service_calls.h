/* SPDX-License-Identifier: Apache-2.0
 *
 * The filter of system calls (seccomp).
 */
#ifndef LIB_SERVICE_SERVICE_CALLS_H
#define LIB_SERVICE_SERVICE_CALLS_H

/* What a role does beyond moving bytes over the descriptors that it was given. */
enum {
	SERVICE_ACCEPTS = 1 << 0,  /* takes connections from a listener */
	SERVICE_CONNECTS = 1 << 1, /* makes sockets of its own */
	SERVICE_RESOLVES = 1 << 2, /* and looks up names: the resolver's files are in its root directory */
	SERVICE_DATABASE = 1 << 3, /* and it is Postgres that it connects to */
	SERVICE_THREADS = 1 << 4,
	SERVICE_WRITES = 1 << 5, /* new files in directories that prepare() opened */
	SERVICE_MAKES_DIRECTORIES = 1 << 7, /* and directories in those */
	SERVICE_SPILLS = 1 << 6, /* files without a name (fd_unnamed()) in such a directory, and nothing else */
};

/* From now on any other call ends the process, with a line in the log; or it dies. */
void service_calls_filter(unsigned needs);

#endif
