/* RocksDB's checksum of its logs, with the processor's instruction for it.
 *
 * Debian builds RocksDB for processors without SSE4.2, so it takes CRC-32C from
 * tables, half a gigabyte a second: a tenth of what a commit costs. It calls the
 * function through its symbol, which a program that exports one of the same name
 * takes the place of (the Makefile does: --export-dynamic-symbol). A library without
 * that symbol goes on with its own, and the results are the same.
 * The name and its contract: RocksDB 7.8.3, util/crc32c.h, crc32c::Extend(). */
#include "core/embedded/rocksdb_api.h"

#ifdef __x86_64__
#include <nmmintrin.h>
#include <stdint.h>
#include <string.h>

uint32_t rocksdb_crc32c_extend(uint32_t crc, const char *data,
			       size_t len) __asm__("_ZN7rocksdb6crc32c6ExtendEjPKcm");

/* crc: of what comes before data, 0 for nothing. The thread sanitizer does not see what
 * RocksDB's own threads agree upon, and so must not see this part of RocksDB. */
__attribute__((target("sse4.2"), visibility("default"), no_sanitize_thread)) uint32_t
rocksdb_crc32c_extend(uint32_t crc, const char *data, size_t len)
{
	uint64_t state = ~crc;

	for (; len >= sizeof(uint64_t); data += sizeof(uint64_t), len -= sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, data, sizeof(word));
		state = _mm_crc32_u64(state, word);
	}
	for (; len > 0; data++, len--)
		state = _mm_crc32_u8((uint32_t)state, (unsigned char)*data);
	return ~(uint32_t)state;
}
#endif
