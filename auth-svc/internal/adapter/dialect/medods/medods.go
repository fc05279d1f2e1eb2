// Package medods speaks the contract of the Medods task: a pair of JWTs for any user id, and a new pair for a pair.
//
//	/auth/login?userId=                   ──> API key ──> core.OpenSessionFor ──> pair
//	/auth/refresh?refreshToken=&accessToken= ──> both signatures, one linkerId ──> core.Refresh ──> pair
//
// Its refresh token is the core's in another dress, not a second mechanism: tokenFamily is the session, jti generation and
// secret, the signature stands where the core's MAC stood. So rotation, reuse, revocation and the hash in the store are the
// core's, and what is in the JWT opens nothing but this contract (ADR 0052). Every refusal is {"error": "…"}.
package medods

import (
	"net/http"
	"net/url"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/identity"
)

type api struct{ dialect.Deps }

// New makes the dialect.
func New(deps dialect.Deps) dialect.Surface {
	a, m := api{deps}, web.NewMux()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		m.Handle(method, "/auth/login", "medods.login", web.Func(a.login))
		m.Handle(method, "/auth/refresh", "medods.refresh", web.Func(a.refresh))
	}
	return dialect.Surface{Routes: m, Shape: dialect.Shaped(shape)}
}

// pair is what both calls answer.
type pair struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh"`
}

const keyHeader = "X-Api-Key"

var errNoKey = fault.New(fault.Unauthenticated, "this needs an API key in X-API-Key")

func (a api) login(w http.ResponseWriter, r *http.Request) error {
	keys := r.Header[keyHeader]
	if len(keys) != 1 || keys[0] == "" {
		return errNoKey
	}
	caller, err := a.APIKey(r, secret.NewString(keys[0]))
	if err != nil {
		return err
	}
	var in struct {
		UserID string `json:"userId"`
	}
	if err := read(w, r, &in, map[string]*string{"userId": &in.UserID}); err != nil {
		return err
	}
	tokens, err := a.Core.OpenSessionFor(r.Context(), caller, in.UserID, a.client(r))
	if err != nil {
		return err
	}
	return a.hand(w, r, tokens)
}

func (a api) refresh(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Access  string `json:"accessToken"`
		Refresh string `json:"refreshToken"`
	}
	if err := read(w, r, &in, map[string]*string{"accessToken": &in.Access, "refreshToken": &in.Refresh}); err != nil {
		return err
	}
	credential, err := a.openPair(r.Context(), in.Access, in.Refresh)
	if err != nil {
		return err
	}
	tokens, err := a.Core.Refresh(r.Context(), credential, a.client(r))
	if err != nil {
		return err
	}
	return a.hand(w, r, tokens)
}

// hand answers with the tokens as a pair.
func (a api) hand(w http.ResponseWriter, r *http.Request, t identity.Tokens) error {
	refresh, err := a.dress(r.Context(), t)
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, pair{Access: t.AccessToken.Reveal(), Refresh: refresh})
}

// client adds the claims of this contract.
func (a api) client(r *http.Request) identity.Client {
	c := a.Client(r)
	address := c.Address.Unmap().String()
	c.Claims = func(u identity.User, s identity.Session) map[string]string {
		return map[string]string{"userId": u.ID, "linkerId": linker(s.ID, s.Generation), "userIp": address}
	}
	return c
}

// read takes every value from the query, each once, or from the body of a POST. All are needed.
func read(w http.ResponseWriter, r *http.Request, body any, values map[string]*string) error {
	if r.Method == http.MethodPost {
		if err := dialect.Decode(w, r, body); err != nil {
			return err
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.Validation(fault.Field{Field: "query", Code: "INVALID", Detail: "can't be read"})
	}
	var bad []fault.Field
	for name, value := range values {
		given := query[name]
		if *value != "" {
			given = append(given, *value)
		}
		switch {
		case len(given) > 1:
			bad = append(bad, fault.Field{Field: name, Code: "DUPLICATE", Detail: "is there more than once"})
		case len(given) == 0 || given[0] == "":
			bad = append(bad, fault.Field{Field: name, Code: "REQUIRED", Detail: "is required"})
		default:
			*value = given[0]
		}
	}
	if len(bad) > 0 {
		return fault.Validation(bad...)
	}
	return nil
}

// shape is a refusal of this contract, whose document has none: one sentence.
func shape(doc problem.Document, err error) (status int, body any) {
	text := dialect.Told(doc)
	switch kind := fault.KindOf(err); {
	case kind == fault.InvalidToken && token.Revoked(err), kind == fault.InvalidRefreshToken:
		text = "invalid token"
	case kind == fault.InvalidCredentials:
		text = "invalid API key"
	}
	return doc.Status, struct {
		Error string `json:"error"`
	}{text}
}
