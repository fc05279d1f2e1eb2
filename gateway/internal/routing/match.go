package routing

// Request is what matching looks at. The edge fills it from the HTTP request after Canonical has accepted the path.
type Request struct {
	Method   string
	Host     string              // Host header as sent: any case, port or not
	Path     string              // decoded path, as Canonical returned it
	RawQuery string              // parsed only when a candidate asks for query parameters
	Header   map[string][]string // canonical names; an http.Header fits
}

// Outcome is how matching ended.
type Outcome uint8

// The outcomes. NotFound is the zero value, so a forgotten decision lets nothing pass.
const (
	NotFound         Outcome = iota // no rule claims this host and path: 404
	MethodNotAllowed                // a rule claims it, for other methods: 405 with Allow
	Matched                         // Rule is set; look at Rule.Refused before serving
)

// Decision is what Match found.
type Decision struct {
	Outcome Outcome
	Rule    *Rule  // set when Matched
	Prefix  string // the prefix of the path that the rule's match claimed (the whole path for an exact match), for Rewrite
	Allow   string // set when MethodNotAllowed: "GET, POST"
}
