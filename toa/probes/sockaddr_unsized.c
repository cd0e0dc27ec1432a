// SPDX-License-Identifier: GPL-2.0
/* 6.19: addresses whose size is told beside them are of a type of their own. */
#include <linux/net.h>

int probe(struct socket *sock, struct sockaddr_unsized *address);
int probe(struct socket *sock, struct sockaddr_unsized *address)
{
	return kernel_bind(sock, address, 0);
}
