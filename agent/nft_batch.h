#pragma once
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* The netlink socket to nf_tables and the transactions that go through it. A transaction is put
 * together by pg_nft_begin(), the calls of nft_table.h, and pg_nft_commit(): the kernel does all of
 * it or nothing. Tables made with PG_NFT_OWNED belong to this socket: the kernel removes them when
 * it is closed, however that happens. Not to be inherited: a child that keeps the descriptor open
 * keeps the tables. */
struct pg_nft;

/* 0, or why there is no nf_tables here (-EPROTONOSUPPORT), with its hint. */
int pg_nft_open(struct pg_nft **out, struct pg_err *err);

/* Closes the socket: owned tables are gone when this returns. NULL is allowed. */
void pg_nft_close(struct pg_nft *n);

/* Starts an empty transaction; one that was not committed is forgotten. */
void pg_nft_begin(struct pg_nft *n);

/* Which message of a transaction was refused. */
enum { PG_NFT_ALL = 0 /* 1: the first that was added, and so on */ };

/* Sends the transaction and waits for the kernel's verdict, 1.5 s at most. 0, or the errno of the
 * first refused message, whose number is left in *refused_out (may be NULL), with nothing changed.
 * -EPERM for PG_NFT_ALL: no NET_ADMIN; -EOPNOTSUPP for it: no nf_tables. -ENOMEM: not sent. */
int pg_nft_commit(struct pg_nft *n, unsigned *refused_out, struct pg_err *err);
