// Package problem writes refusals as RFC 9457 problem documents.
//
// It holds the one table that turns a fault's kind into a status and a stable code, and the one writer of errors. An
// error that is no fault is logged here, where its journey ends, and reaches the client as a plain 500 that carries
// only the request id. Nothing of a cause is ever written to a client.
package problem

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"cloakroom.dev/libs/fault"
)

// ContentType is the media type of every refusal.
const ContentType = "application/problem+json"

// Document is a problem document. Instance is the id of the request.
type Document struct {
	Type     string        `json:"type"`
	Title    string        `json:"title"`
	Status   int           `json:"status"`
	Detail   string        `json:"detail,omitempty"`
	Instance string        `json:"instance,omitempty"`
	Code     string        `json:"code"`
	Errors   []fault.Field `json:"errors,omitempty"`
}

type row struct {
	status int
	code   string
	title  string
}

// table is the whole mapping. A kind that is missing here answers as Internal; a test holds it complete.
var table = map[fault.Kind]row{
	fault.Internal:               {http.StatusInternalServerError, "INTERNAL_ERROR", "Internal error"},
	fault.Unauthenticated:        {http.StatusUnauthorized, "AUTH_ERROR", "Authentication required"},
	fault.InvalidToken:           {http.StatusUnauthorized, "INVALID_TOKEN", "Invalid access token"},
	fault.TokenExpired:           {http.StatusUnauthorized, "TOKEN_EXPIRED", "Access token expired"},
	fault.TokenStale:             {http.StatusUnauthorized, "TOKEN_STALE", "Access token out of date"},
	fault.InvalidCredentials:     {http.StatusUnauthorized, "INVALID_CREDENTIALS", "Invalid credentials"},
	fault.AccountDeactivated:     {http.StatusForbidden, "ACCOUNT_DEACTIVATED", "Account deactivated"},
	fault.InvalidRefreshToken:    {http.StatusUnauthorized, "INVALID_REFRESH_TOKEN", "Invalid refresh token"},
	fault.InvalidCurrentPassword: {http.StatusForbidden, "INVALID_CURRENT_PASSWORD", "Current password does not match"},
	fault.Invalid:                {http.StatusBadRequest, "VALIDATION_ERROR", "Invalid request"},
	fault.UserExists:             {http.StatusConflict, "USER_EXISTS", "User exists"},
	fault.Duplicate:              {http.StatusConflict, "DUPLICATE_ENTRY", "Duplicate entry"},
	fault.Conflict:               {http.StatusConflict, "CONFLICT", "Conflict"},
	fault.Forbidden:              {http.StatusForbidden, "FORBIDDEN", "Forbidden"},
	fault.NotFound:               {http.StatusNotFound, "NOT_FOUND", "Not found"},
	fault.Gone:                   {http.StatusGone, "NOT_FOUND", "Gone"},
	fault.MethodNotAllowed:       {http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "Method not allowed"},
	fault.PreconditionFailed:     {http.StatusPreconditionFailed, "PRECONDITION_FAILED", "Precondition failed"},
	fault.KeyReused:              {http.StatusUnprocessableEntity, "VALIDATION_ERROR", "Idempotency key reused"},
	fault.RangeNotSatisfiable:    {http.StatusRequestedRangeNotSatisfiable, "VALIDATION_ERROR", "Range not satisfiable"},
	fault.TooLarge:               {http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", "Payload too large"},
	fault.HeaderTooLarge:         {http.StatusRequestHeaderFieldsTooLarge, "PAYLOAD_TOO_LARGE", "Header too large"},
	fault.TargetTooLong:          {http.StatusRequestURITooLong, "PAYLOAD_TOO_LARGE", "Request target too long"},
	fault.UnsupportedMediaType:   {http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type"},
	fault.QuotaExceeded:          {http.StatusRequestEntityTooLarge, "QUOTA_EXCEEDED", "Quota exceeded"},
	fault.DigestMismatch:         {http.StatusBadRequest, "DIGEST_MISMATCH", "Digest mismatch"},
	fault.ChecksumMismatch:       {460, "DIGEST_MISMATCH", "Checksum mismatch"}, // tus: a status of its own
	fault.StorageFull:            {http.StatusInsufficientStorage, "UNAVAILABLE", "Storage full"},
	fault.NotImplemented:         {http.StatusNotImplemented, "VALIDATION_ERROR", "Not implemented"},
	fault.Timeout:                {http.StatusRequestTimeout, "UNAVAILABLE", "Request timeout"},
	fault.RateLimited:            {http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded"},
	fault.Overloaded:             {http.StatusServiceUnavailable, "OVERLOADED", "Overloaded"},
	fault.UpstreamFailed:         {http.StatusBadGateway, "UNAVAILABLE", "Bad gateway"},
	fault.UpstreamTimeout:        {http.StatusGatewayTimeout, "UNAVAILABLE", "Gateway timeout"},
	fault.Unavailable:            {http.StatusServiceUnavailable, "UNAVAILABLE", "Service unavailable"},
}

// Of returns the status and the stable code of a kind.
func Of(kind fault.Kind) (status int, code string) {
	r := lookUp(kind)
	return r.status, r.code
}

// From makes the document for err. The instance is the id of the request, when WithRequestID has put one in its context.
func From(r *http.Request, err error) Document {
	kind, detail, fields := fault.Internal, "", []fault.Field(nil)
	var f *fault.Error
	if errors.As(err, &f) && f.Kind != fault.Internal {
		kind, detail, fields = f.Kind, f.Detail, f.Fields
	}
	t := lookUp(kind)
	if kind == fault.Internal {
		detail = "something went wrong on our side; quote the instance when you report it"
	}
	return Document{
		Type: "about:blank", Title: t.title, Status: t.status, Detail: detail,
		Instance: requestID(r.Context()), Code: t.code, Errors: told(fields),
	}
}

// maxFields bounds how many fields are told: an answer must not be many times as large as the request it refuses.
const maxFields = 100

func told(fields []fault.Field) []fault.Field {
	if len(fields) <= maxFields {
		return fields
	}
	more := fault.Field{Field: fields[maxFields].Field, Code: "TOO_MANY", Detail: "here and further on there is more that does not fit"}
	return append(slices.Clone(fields[:maxFields]), more)
}

// Write answers with the problem that err is, in the shape of the request's context when it has one. It logs err when it is not an expected refusal: internal errors, and
// failures of parts we depend on. Headers that only make sense for a success are dropped.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	doc := From(r, err)
	logUnexpected(r, doc, err)
	out := shapeOf(r.Context())(r, doc, err)
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "ETag", "Last-Modified", "Content-Disposition"} {
		h.Del(name)
	}
	h.Set("Content-Type", out.ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if after := retryAfter(err); after > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	}
	if out.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	h.Set("Content-Length", strconv.Itoa(len(out.Body)))
	w.WriteHeader(out.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out.Body)
	}
}

func lookUp(kind fault.Kind) row {
	if r, ok := table[kind]; ok {
		return r
	}
	return table[fault.Internal]
}

// retryAfter reads the fault's own word. A 503 or 429 without one gets a second: a client that is told nothing
// comes back at once.
func retryAfter(err error) time.Duration {
	var f *fault.Error
	if !errors.As(err, &f) {
		return 0
	}
	if f.RetryAfter > 0 {
		return f.RetryAfter
	}
	switch f.Kind {
	case fault.RateLimited, fault.Overloaded, fault.Unavailable, fault.UpstreamFailed, fault.UpstreamTimeout:
		return time.Second
	default:
		return 0
	}
}

func logUnexpected(r *http.Request, doc Document, err error) {
	if doc.Status < http.StatusInternalServerError || errors.Is(err, context.Canceled) {
		return
	}
	level := slog.LevelWarn
	if doc.Status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	Logger(r.Context()).Log(r.Context(), level, "request failed", "code", doc.Code, "error", err.Error())
}
