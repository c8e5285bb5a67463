/* What libcurl's errors are in the words of the table of faults. */
#include <string.h>

#include "upstream/lane.h"

static const struct fault_row {
        CURLcode code;
        enum fault_kind kind;
        const char *message;
        const char *words; /* only where libcurl's own begin with these */
} fault_rows[] = {
        {CURLE_COULDNT_RESOLVE_HOST, FAULT_DNS, "the provider's name could not be looked up", NULL},
        {CURLE_COULDNT_RESOLVE_PROXY, FAULT_DNS, "the proxy's name could not be looked up", NULL},
        {CURLE_COULDNT_CONNECT, FAULT_CONNECT, "the provider could not be reached", NULL},
        {CURLE_OPERATION_TIMEDOUT, FAULT_CONNECT_TIME, "looking up the provider's name took too long",
         "Resolving"},
        {CURLE_OPERATION_TIMEDOUT, FAULT_CONNECT_TIME, "the provider did not finish the TLS handshake",
         "SSL"},
        {CURLE_OPERATION_TIMEDOUT, FAULT_CONNECT_TIME, "connecting to the provider took too long", NULL},
        {CURLE_PROXY, FAULT_CONNECT, "the proxy could not be used", NULL},
        {CURLE_URL_MALFORMAT, FAULT_CONNECT, "the provider's address is no URL", NULL},
        {CURLE_SSL_CONNECT_ERROR, FAULT_TLS, "no TLS connection to the provider could be made", NULL},
        {CURLE_PEER_FAILED_VERIFICATION, FAULT_TLS, "the provider's certificate could not be verified", NULL},
        {CURLE_SSL_CACERT_BADFILE, FAULT_TLS, "the file of certificate authorities could not be read", NULL},
        {CURLE_SSL_CERTPROBLEM, FAULT_TLS, "the TLS certificate could not be used", NULL},
        {CURLE_SSL_CIPHER, FAULT_TLS, "no TLS cipher could be agreed on", NULL},
        {CURLE_SSL_ENGINE_INITFAILED, FAULT_TLS, "TLS could not be started", NULL},
        {CURLE_SSL_ISSUER_ERROR, FAULT_TLS, "the provider's certificate could not be verified", NULL},
        {CURLE_SSL_INVALIDCERTSTATUS, FAULT_TLS, "the provider's certificate could not be verified", NULL},
        {CURLE_SSL_PINNEDPUBKEYNOTMATCH, FAULT_TLS, "the provider's certificate could not be verified", NULL},
        {CURLE_SSL_CLIENTCERT, FAULT_TLS, "the provider asked for a TLS certificate", NULL},
        {CURLE_USE_SSL_FAILED, FAULT_TLS, "no TLS connection to the provider could be made", NULL},
        {CURLE_PARTIAL_FILE, FAULT_CUT, "the connection ended before the answer was whole", NULL},
        {CURLE_GOT_NOTHING, FAULT_CUT, "the connection ended without an answer", NULL},
        {CURLE_RECV_ERROR, FAULT_CUT, "the connection ended before the answer was whole", NULL},
        {CURLE_SEND_ERROR, FAULT_CUT, "the connection ended before the request was sent", NULL},
        {CURLE_HTTP2, FAULT_CUT, "the connection ended before the answer was whole", NULL},
        {CURLE_HTTP2_STREAM, FAULT_CUT, "the provider ended the answer early", NULL},
        {CURLE_ABORTED_BY_CALLBACK, FAULT_CUT, "the transfer was ended", NULL},
};

enum fault_kind lane_fault(CURLcode code, const char *detail, const char **message)
{
        for (size_t i = 0; i < sizeof fault_rows / sizeof *fault_rows; i++) {
                const char *words = fault_rows[i].words;
                if (fault_rows[i].code == code && (!words || strncmp(detail, words, strlen(words)) == 0)) {
                        *message = fault_rows[i].message;
                        return fault_rows[i].kind;
                }
        }
        *message = "the provider's answer is no HTTP";
        return FAULT_MALFORMED;
}
