/* Owns a lake and serves it, for tests that reach it through its socket.
 *
 * usage: lake_owner FOLDER READY_FD STOP_FD   writes a byte to READY_FD when it
 * is ready; ends when STOP_FD is closed at its other end */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/lake_fixture.h"

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: lake_owner FOLDER READY_FD STOP_FD\n");
		return 2;
	}
	lake_fixture_own(argv[1], atoi(argv[2]), atoi(argv[3]));
	return 0;
}
