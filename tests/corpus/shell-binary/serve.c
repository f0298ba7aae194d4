/* Counts the bytes of a body: a whole HTTP server in a page. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static void reply(int client, const char *body) {
    char head[256];
    int size = snprintf(head, sizeof head,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                        "Connection: close\r\n\r\n", strlen(body));
    write(client, head, size);
    write(client, body, strlen(body));
}

static void answer(int client) {
    static char text[1 << 16];
    long filled = 0, length = 0;
    char *end = NULL;
    while (filled < (long)sizeof text - 1) {
        long got = read(client, text + filled, sizeof text - 1 - filled);
        if (got <= 0) break;
        filled += got;
        text[filled] = 0;
        if (!end && (end = strstr(text, "\r\n\r\n"))) {
            char *header = strcasestr(text, "\r\ncontent-length:");
            length = header && header < end ? atol(header + 17) : 0;
        }
        if (end && filled >= end + 4 - text + length) break;
    }
    if (!strncmp(text, "GET /healthcheck", 16)) {
        reply(client, "{\"state\": \"healthy\"}");
    } else {
        char body[64];
        snprintf(body, sizeof body, "{\"bytes\": %ld}", length);
        reply(client, body);
    }
}

int main(int count, char **words) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    at.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 16)) {
        perror("listen");
        return 1;
    }
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;
        answer(client);
        close(client);
    }
}
