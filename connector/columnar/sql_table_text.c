#include "connector/columnar/sql_table_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_ROWS 1000
#define CELL_CHARACTERS 64 /* an id */

struct column {
	bool number;
	size_t width; /* in characters */
};

struct cell {
	size_t at; /* in text */
	size_t len;
	size_t width;
};

struct sql_table_text {
	size_t n; /* columns */
	struct column *columns;
	struct buf text; /* of the cells that are kept, the names first */
	struct cell *cells;
	size_t n_cells, cap_cells;
	size_t n_columns; /* that were named so far */
	bool begun; /* widths stand, the names are written */
	uint64_t rows;
};

struct sql_table_text *sql_table_text_new(size_t n_columns)
{
	struct sql_table_text *t = xcalloc(1, sizeof(*t));

	t->n = n_columns;
	t->columns = xcalloc(n_columns + 1, sizeof(*t->columns));
	return t;
}

void sql_table_text_free(struct sql_table_text *t)
{
	if (!t)
		return;
	buf_release(&t->text);
	free(t->columns);
	free(t->cells);
	free(t);
}

/* Adds text without what a terminal would obey, cut where it is long; its width in
 * characters. */
static size_t add_cell_text(struct buf *out, const char *text, size_t len)
{
	size_t width = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c & 0xc0) != 0x80) {
			if (width == CELL_CHARACTERS - 1 && len - i > 1) {
				buf_adds(out, "\xe2\x80\xa6");
				return width + 1;
			}
			width++;
		}
		buf_addc(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
	}
	return width;
}

static void add_cell(struct sql_table_text *t, const char *text, size_t len)
{
	struct cell cell = {.at = t->text.len};

	cell.width = add_cell_text(&t->text, text, len);
	cell.len = t->text.len - cell.at;
	GROW(t->cells, t->n_cells, t->cap_cells);
	t->cells[t->n_cells++] = cell;
}

void sql_table_text_column(struct sql_table_text *t, const char *name, bool number)
{
	t->columns[t->n_columns++].number = number;
	add_cell(t, name, strlen(name));
}

void sql_table_text_cell(struct sql_table_text *t, const char *text, size_t len)
{
	if (text)
		add_cell(t, text, len);
	else
		add_cell(t, "NULL", 4);
}

static void add_blanks(struct buf *out, size_t n)
{
	while (n--)
		buf_addc(out, ' ');
}

/* Writes and forgets the kept rows. */
static void write_rows(struct sql_table_text *t, struct buf *out)
{
	for (size_t i = 0; i < t->n_cells; i++) {
		const struct column *c = &t->columns[i % t->n];
		const struct cell *cell = &t->cells[i];
		size_t pad = cell->width < c->width ? c->width - cell->width : 0;
		bool last = (i + 1) % t->n == 0;

		if (c->number)
			add_blanks(out, pad);
		buf_add(out, buf_str(&t->text) + cell->at, cell->len);
		if (!c->number && !last)
			add_blanks(out, pad);
		buf_adds(out, last ? "\n" : "  ");
		if (last && i < t->n && !t->begun) {
			for (size_t j = 0; j < t->n; j++) {
				for (size_t k = 0; k < t->columns[j].width; k++)
					buf_addc(out, '-');
				buf_adds(out, j + 1 < t->n ? "  " : "\n");
			}
		}
	}
	t->begun = true;
	t->n_cells = 0;
	buf_clear(&t->text);
}

static void set_widths(struct sql_table_text *t)
{
	for (size_t i = 0; !t->begun && i < t->n_cells; i++)
		if (t->columns[i % t->n].width < t->cells[i].width)
			t->columns[i % t->n].width = t->cells[i].width;
}

void sql_table_text_end_row(struct sql_table_text *t, struct buf *out)
{
	t->rows++;
	if (!t->begun && t->rows < KEPT_ROWS)
		return;
	set_widths(t);
	write_rows(t, out);
}

void sql_table_text_end(struct sql_table_text *t, struct buf *out)
{
	set_widths(t);
	write_rows(t, out);
	buf_addf(out, "(%" PRIu64 " row%s)\n", t->rows, t->rows == 1 ? "" : "s");
}
