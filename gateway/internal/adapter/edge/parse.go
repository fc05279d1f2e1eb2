package edge

import (
	"net/http"
	"net/url"
	"strings"

	"cloakroom.dev/gateway/internal/adapter/edge/wire"
	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/fault"
)

// parse refuses what two programs could read differently, and finds the canonical path. Such a request ends its
// connection: whoever sends one may be in the middle of a longer trick.
func (x *exchange) parse() error {
	if why, refused := wire.Refusal(x.r); refused {
		x.edge.metrics.refused(why.String())
		x.w.Header().Set("Connection", "close")
		return unread(why)
	}
	if field, bad := badTarget(x.r); bad {
		x.edge.metrics.refused("target")
		return x.malformed(field)
	}
	if len(x.r.Header["Authorization"]) > 1 {
		x.edge.metrics.refused("credentials")
		return x.malformed(fault.Field{Field: "Authorization", Code: "REPEATED", Detail: "the header is there more than once"})
	}
	if len(x.r.Header["Expect"]) > 1 {
		x.edge.metrics.refused("expect")
		return x.malformed(fault.Field{Field: "Expect", Code: "REPEATED", Detail: "the header is there more than once"})
	}
	if namesToken(x.r.URL.RawQuery) {
		x.edge.metrics.refused("token_in_query")
		return x.malformed(tokenInQuery)
	}
	if !readable(x.r.URL.RawQuery) {
		x.edge.metrics.refused("query")
		return x.malformed(unreadableQuery)
	}
	path, err := routing.Canonical(sentPath(x.r))
	if err != nil {
		x.edge.metrics.refused("path")
		x.w.Header().Set("Connection", "close")
		return err
	}
	x.path = path
	return nil
}

// unread is why a head was refused before net/http read it.
func unread(why wire.Reason) error {
	switch why {
	case wire.HeadTooLarge:
		return fault.New(fault.HeaderTooLarge, why.Detail())
	case wire.TargetTooLong:
		return fault.New(fault.TargetTooLong, why.Detail())
	case wire.ForeignEncoding:
		return fault.New(fault.NotImplemented, why.Detail())
	default:
		return fault.Validation(fault.Field{Field: "request", Code: "MALFORMED", Detail: why.Detail()})
	}
}

func (x *exchange) malformed(field fault.Field) error {
	x.w.Header().Set("Connection", "close")
	return fault.Validation(field)
}

// badTarget looks at the method and at what stands before the path in the request line.
func badTarget(r *http.Request) (fault.Field, bool) {
	switch r.Method {
	case http.MethodConnect, http.MethodTrace, "TRACK", "PRI":
		return fault.Field{Field: "method", Code: "NOT_ALLOWED", Detail: "this method is not spoken here"}, true
	}
	u := r.URL
	if u.Scheme != "" && (u.User != nil || (u.Scheme != "http" && u.Scheme != "https")) || u.Opaque != "" {
		return fault.Field{Field: "target", Code: "MALFORMED", Detail: "the request target must be a path or an http URL"}, true
	}
	return fault.Field{}, false
}

// sentPath is the path in the spelling of the request line: net/url may already have changed its own.
func sentPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

var tokenInQuery = fault.Field{
	Field: "query", Code: "TOKEN_IN_QUERY", Detail: "send credentials in the Authorization header: URLs are written to logs",
}

var unreadableQuery = fault.Field{
	Field: "query", Code: "INVALID", Detail: "the query can't be read: join its pairs with &, and escape what is not a letter or digit",
}

// readable reports whether every program reads the same pairs in the query. A semicolon separates for some and is a
// letter for others; an escape that is none is dropped, kept or refused.
func readable(query string) bool {
	for i := 0; i < len(query); i++ {
		switch query[i] {
		case ';':
			return false
		case '%':
			if i+2 >= len(query) || !isHex(query[i+1]) || !isHex(query[i+2]) {
				return false
			}
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// namesToken reports whether the query has the parameter that RFC 6750 once proposed for access tokens.
func namesToken(query string) bool {
	return anyParam(query, func(name, _ string) bool { return strings.EqualFold(name, "access_token") })
}

// showsToken reports whether any value in the query has the shape of a credential of ours.
func showsToken(query string) bool {
	return anyParam(query, func(_, value string) bool {
		return strings.HasPrefix(value, apiKeyPrefix) || strings.HasPrefix(value, "crr_") ||
			(strings.HasPrefix(value, "eyJ") && strings.Count(value, ".") == 2)
	})
}

// anyParam looks through the parameters without making a map of them. A semicolon separates as well: some servers
// still split there.
func anyParam(query string, found func(name, value string) bool) bool {
	for query != "" {
		pair := query
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			query = ""
		}
		name, value, _ := strings.Cut(pair, "=")
		if found(unescape(name), unescape(value)) {
			return true
		}
	}
	return false
}

func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}
