package wire

// Reason is why a request was refused before it was parsed. Its String is a metric label and travels in a header.
type Reason int

// The reasons. Malformed is the zero value: whatever cannot be named is still refused.
const (
	Malformed Reason = iota
	LengthAndEncoding
	RepeatedLength
	BadLength
	EncodingBeforeHTTP11
	FoldedHeader
	BareLineFeed
	HostCount
	BadHeaderName
	BadHeaderValue
	BadVersion
	BadHost
	ForeignEncoding
	ForeignExpectation
	HeadTooLarge
	TargetTooLong
	reasonCount
)

var reasons = [reasonCount]struct{ label, detail string }{
	Malformed:            {"malformed", "the request is malformed"},
	LengthAndEncoding:    {"length_and_encoding", "the request has both Content-Length and Transfer-Encoding"},
	RepeatedLength:       {"repeated_length", "the request has more than one Content-Length"},
	BadLength:            {"bad_length", "the Content-Length is not a plain number"},
	EncodingBeforeHTTP11: {"encoding_before_http11", "Transfer-Encoding is not allowed before HTTP/1.1"},
	FoldedHeader:         {"folded_header", "a header is folded over several lines"},
	BareLineFeed:         {"bare_line_feed", "a line does not end with CR LF"},
	HostCount:            {"host_count", "the request must have exactly one Host header"},
	BadHeaderName:        {"bad_header_name", "a header has an invalid name"},
	BadHeaderValue:       {"bad_header_value", "a header has an invalid value"},
	BadVersion:           {"bad_version", "only HTTP/1.0 and HTTP/1.1 are spoken here"},
	BadHost:              {"bad_host", "the Host header names no host"},
	ForeignEncoding:      {"foreign_encoding", "no Transfer-Encoding but chunked, once, is spoken here"},
	ForeignExpectation:   {"foreign_expectation", "nothing but 100-continue may be expected"},
	HeadTooLarge:         {"head_too_large", "the request's headers are too large"},
	TargetTooLong:        {"target_too_long", "the request's target is too long"},
}

// String is a short stable word: a closed set, fit for a metric label.
func (r Reason) String() string { return reasons[r].label }

// Detail is one line for the client.
func (r Reason) Detail() string { return reasons[r].detail }

func parseReason(label string) Reason {
	for r := range reasons {
		if reasons[r].label == label {
			return Reason(r)
		}
	}
	return Malformed
}
