/* SPDX-License-Identifier: PostgreSQL
 *
 * net.h: what the servers and clients of the tests share of socket handling. All descriptors are
 * close-on-exec. Functions that give a descriptor give -1 on failure, with errno. Any thread.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_NET_H
#define HOSTFLAGS_TESTS_SUPPORT_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/socket.h>

/* Room for "[literal]:port" and its NUL. */
#define HF_NET_NAME_SIZE 64

/* Fills addr from a literal IPv4 or IPv6 address; its length, or 0 when it is none. */
socklen_t hf_net_address(const char *literal, uint16_t port, struct sockaddr_storage *addr);

/* A socket that listens, non-blocking; port 0: any. */
int hf_net_listen(const char *literal, uint16_t port);

/* The port that a socket is bound to; 0: not bound. */
uint16_t hf_net_port(int fd);

/* A connection that is under way, non-blocking: writable once it is established. */
int hf_net_connect(const char *literal, uint16_t port);

/* Writes "literal:port" or "[literal]:port". */
void hf_net_name(const char *literal, uint16_t port, char name[HF_NET_NAME_SIZE]);

/* Breaks a TCP connection with a reset. The descriptor stays open. */
void hf_net_reset(int fd);

/* Waits for events of fd (poll's; POLLRDHUP notices a client that leaves), at most timeout_ms (-1:
 * for ever), and not longer than until stop_fd becomes readable. 1: an event; 0: the time has
 * passed; -1: to stop. */
int hf_net_wait(int fd, short events, int stop_fd, int64_t timeout_ms);

/* A port that is free on all of the addresses at the moment; 0: none found. */
uint16_t hf_net_free_port(const char *const *literals, size_t count);

/* Raises the soft limit of open descriptors to the hard one; how many that is. */
size_t hf_net_raise_descriptor_limit(void);

#endif
