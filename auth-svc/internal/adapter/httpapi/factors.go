package httpapi

import (
	"context"
	"net/http"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

// loginResponse is 200 with who came in, or 202 with what is still to be shown: a client that knows nothing of second
// factors must not take half a login for a whole one.
type loginResponse struct {
	User      *userBody      `json:"user,omitempty"`
	Session   *sessionBody   `json:"session,omitempty"`
	Challenge *challengeBody `json:"challenge,omitempty"`
}

// StatusCode is 202 while a second factor is missing.
func (r loginResponse) StatusCode() int {
	if r.Challenge != nil {
		return http.StatusAccepted
	}
	return http.StatusOK
}

type challengeBody struct {
	Token     string   `json:"token"`
	Factors   []string `json:"factors"`
	ExpiresIn int64    `json:"expires_in"`
}

func newLogin(ctx context.Context, e identity.Entry) (loginResponse, error) {
	if p := e.Pending; p != nil {
		return loginResponse{Challenge: &challengeBody{p.Token.Reveal(), p.Factors, seconds(p.ExpiresIn)}}, nil
	}
	user := newUser(e.User)
	session, err := deliver(ctx, e.Tokens)
	return loginResponse{User: &user, Session: &session}, err
}

type loginFactorRequest struct {
	ChallengeToken hidden `json:"challenge_token"`
	Code           hidden `json:"code"`
}

// Validate asks for what is missing.
func (in loginFactorRequest) Validate() (bad []fault.Field) {
	if in.ChallengeToken.IsZero() {
		bad = append(bad, required("challenge_token"))
	}
	if in.Code.IsZero() {
		bad = append(bad, required("code"))
	}
	return bad
}

func (a *API) loginFactor(ctx context.Context, in loginFactorRequest) (entryResponse, error) {
	entry, err := a.opts.Core.LoginFactor(ctx, identity.FactorInput{
		Challenge: in.ChallengeToken.String, Code: in.Code.String, Client: client(ctx, ""),
	})
	if err != nil {
		return entryResponse{}, err
	}
	session, err := deliver(ctx, entry.Tokens)
	return entryResponse{newUser(entry.User), session}, err
}

type stepUpRequest struct {
	Password hidden `json:"password"`
	Code     hidden `json:"code"`
}

// Validate asks for one of the two.
func (in stepUpRequest) Validate() []fault.Field {
	if in.Password.given == in.Code.given {
		return []fault.Field{{Field: "code", Code: "REQUIRED", Detail: "give either code or password"}}
	}
	if in.Code.given && in.Code.IsZero() {
		return []fault.Field{required("code")}
	}
	return nil
}

func (a *API) stepUp(ctx context.Context, caller principal.Principal, in stepUpRequest) (refreshResponse, error) {
	tokens, err := a.opts.Core.StepUp(ctx, caller, identity.StepUpInput{
		Password: in.Password.String, Code: in.Code.String, Client: client(ctx, ""),
	})
	if err != nil {
		return refreshResponse{}, err
	}
	session, err := deliver(ctx, tokens)
	return refreshResponse{session}, err
}

type factorBody struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Name       string    `json:"name"`
	Confirmed  bool      `json:"confirmed"`
	CreatedAt  web.Time  `json:"created_at"`
	LastUsedAt *web.Time `json:"last_used_at"`
}

func newFactor(f identity.Factor) factorBody {
	return factorBody{
		ID: f.ID, Type: "totp", Name: f.Name, Confirmed: f.Confirmed(), CreatedAt: web.Time(f.CreatedAt),
		LastUsedAt: wire.TimeOrNull(f.UsedAt()),
	}
}

type factorsResponse struct {
	Items             []factorBody `json:"items"`
	RecoveryCodesLeft int          `json:"recovery_codes_left"`
}

func (a *API) listFactors(ctx context.Context, caller principal.Principal, _ empty) (factorsResponse, error) {
	l, err := a.opts.Core.ListFactors(ctx, caller)
	body := factorsResponse{Items: make([]factorBody, 0, len(l.Factors)), RecoveryCodesLeft: l.RecoveryCodesLeft}
	for _, f := range l.Factors {
		body.Items = append(body.Items, newFactor(f))
	}
	return body, err
}

type enrolFactorRequest struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// Validate takes the one type there is.
func (in enrolFactorRequest) Validate() (bad []fault.Field) {
	if in.Type != "totp" {
		bad = append(bad, fault.Field{Field: "type", Code: "INVALID", Detail: "must be totp"})
	}
	if in.Name == "" {
		bad = append(bad, required("name"))
	}
	return bad
}

type enrolledFactorResponse struct {
	Factor     factorBody `json:"factor"`
	Secret     string     `json:"secret"`
	OTPAuthURI string     `json:"otpauth_uri"`
}

// StatusCode is 201: there is a new factor.
func (enrolledFactorResponse) StatusCode() int { return http.StatusCreated }

func (a *API) enrolFactor(ctx context.Context, caller principal.Principal, in enrolFactorRequest) (enrolledFactorResponse, error) {
	e, err := a.opts.Core.EnrolFactor(ctx, caller, in.Name)
	return enrolledFactorResponse{newFactor(e.Factor), e.Secret.Reveal(), e.URI.Reveal()}, err
}

type confirmFactorRequest struct {
	ID   string `path:"id"`
	Code hidden `json:"code"`
}

// Validate asks for what is missing.
func (in confirmFactorRequest) Validate() []fault.Field {
	if in.Code.IsZero() {
		return []fault.Field{required("code")}
	}
	return nil
}

type recoveryCodesResponse struct {
	RecoveryCodes []string `json:"recovery_codes"`
}

func newRecoveryCodes(codes []secret.String) recoveryCodesResponse {
	body := recoveryCodesResponse{RecoveryCodes: make([]string, 0, len(codes))}
	for _, c := range codes {
		body.RecoveryCodes = append(body.RecoveryCodes, c.Reveal())
	}
	return body
}

func (a *API) confirmFactor(ctx context.Context, caller principal.Principal, in confirmFactorRequest) (recoveryCodesResponse, error) {
	codes, err := a.opts.Core.ConfirmFactor(ctx, caller, in.ID, in.Code.String)
	return newRecoveryCodes(codes), err
}

func (a *API) makeRecoveryCodes(ctx context.Context, caller principal.Principal, _ empty) (recoveryCodesResponse, error) {
	codes, err := a.opts.Core.NewRecoveryCodes(ctx, caller)
	return newRecoveryCodes(codes), err
}

type removeFactorRequest struct {
	ID string `path:"id"`
}

func (a *API) removeFactor(ctx context.Context, caller principal.Principal, in removeFactorRequest) (web.NoContent, error) {
	return web.NoContent{}, a.opts.Core.RemoveFactor(ctx, caller, in.ID)
}
