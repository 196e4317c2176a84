#include "connector/columnar/sql_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connector/schema/utf8.h"

#define MESSAGE_MAX_BYTES ((uint32_t)256 << 20)

/* Without SIGPIPE. */
static bool send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

enum status sql_send(int fd, json_t *message, struct err *err)
{
	AUTO(freep) char *text = json_dumps(message, JSON_COMPACT);
	AUTO(buf_release) struct buf out = BUF_INIT;
	size_t len = text ? strlen(text) : 0;

	json_decref(message);
	if (!text || len > MESSAGE_MAX_BYTES)
		return err_set(err, ST_FAILED, "a query's message is too long");
	buf_add_be32(&out, (uint32_t)len);
	buf_add(&out, text, len);
	return send_all(fd, out.data, out.len)
		       ? ST_OK
		       : err_set(err, ST_END, "the query's other process is gone");
}

static bool receive_all(int fd, void *data, size_t len)
{
	char *to = data;

	while (len) {
		ssize_t n = recv(fd, to, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		len -= (size_t)n;
	}
	return true;
}

enum status sql_receive(int fd, json_t **out, struct err *err)
{
	AUTO(freep) char *text = NULL;
	unsigned char head[4] = {0};
	struct bytes in = bytes_of(head, sizeof(head));
	uint32_t len = 0;

	if (!receive_all(fd, head, sizeof(head)) || !bytes_be32(&in, &len))
		return err_set(err, ST_END, "the query's other process is gone");
	if (len > MESSAGE_MAX_BYTES)
		return err_set(err, ST_FAILED, "the query's other process sent no message");
	text = xmalloc((size_t)len + 1);
	if (!receive_all(fd, text, len))
		return err_set(err, ST_END, "the query's other process is gone");
	*out = json_loadb(text, len, 0, NULL);
	return *out ? ST_OK : err_set(err, ST_FAILED, "the query's other process sent no message");
}

json_t *sql_error_message(const struct err *err)
{
	return json_pack("{s:{s:s,s:o}}", "error", "status", status_name(err->code), "text",
			 utf8_json(err->text));
}

enum status sql_error_of(const json_t *message, struct err *err)
{
	const json_t *error = json_object_get(message, "error");
	const char *status = json_string_value(json_object_get(error, "status"));
	const char *text = json_string_value(json_object_get(error, "text"));

	if (!error)
		return ST_OK;
	return err_set(err, status ? status_by_name(status) : ST_FAILED, "%s", text ? text : "");
}
