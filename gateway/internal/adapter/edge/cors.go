package edge

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cloakroom.dev/libs/fault"
)

// preflightMethod returns the method a browser asks about before it sends a request, or "".
func preflightMethod(r *http.Request) string {
	if r.Method != http.MethodOptions || len(r.Header["Origin"]) != 1 {
		return ""
	}
	return r.Header.Get("Access-Control-Request-Method")
}

// crossOrigin sets what lets a page of another origin read the answer, and answers preflights. The headers are set
// before anything can be refused, since a page must be able to read a refusal as well.
func (x *exchange) crossOrigin() (answered bool, err error) {
	c := x.rule.CORS
	if c == nil {
		return false, nil
	}
	h := x.w.Header()
	h.Add("Vary", "Origin")
	origin := x.r.Header.Get("Origin")
	if origin == "" {
		return false, nil
	}
	if !c.Admits(origin) {
		if x.preflight {
			return false, fault.New(fault.Forbidden, "pages of this origin may not call this path")
		}
		return false, nil // the browser keeps the answer from the page; cookies are held to the cross-origin check
	}
	if c.AnyOrigin && !c.Credentials {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Set("Access-Control-Allow-Origin", origin)
	}
	if c.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if !x.preflight {
		if len(c.ExposeHeaders) > 0 {
			h.Set("Access-Control-Expose-Headers", strings.Join(c.ExposeHeaders, ", "))
		}
		return false, nil
	}
	return true, x.answerPreflight()
}

// answerPreflight says which methods and headers the rule takes. It names the rule's own, whatever was asked for.
func (x *exchange) answerPreflight() error {
	c, h := x.rule.CORS, x.w.Header()
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	if !slices.Contains(c.Methods, x.r.Header.Get("Access-Control-Request-Method")) {
		return fault.New(fault.Forbidden, "pages of other origins may not use this method here")
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(c.Methods, ", "))
	if len(c.Headers) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(c.Headers, ", "))
	}
	if c.MaxAge > 0 {
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge.Seconds())))
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}
