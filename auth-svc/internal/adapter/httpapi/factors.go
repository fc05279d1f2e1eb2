package httpapi

import (
	"context"
	"encoding/json"
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
	Token     string          `json:"token"`
	Factors   []string        `json:"factors"`
	PublicKey json.RawMessage `json:"public_key,omitempty"`
	ExpiresIn int64           `json:"expires_in"`
}

func newLogin(ctx context.Context, e identity.Entry) (loginResponse, error) {
	if p := e.Pending; p != nil {
		return loginResponse{Challenge: &challengeBody{p.Token.Reveal(), p.Factors, p.Passkey, seconds(p.ExpiresIn)}}, nil
	}
	user := newUser(e.User)
	session, err := deliver(ctx, e.Tokens)
	return loginResponse{User: &user, Session: &session}, err
}

type loginFactorRequest struct {
	ChallengeToken hidden     `json:"challenge_token"`
	Code           hidden     `json:"code"`
	Credential     credential `json:"credential"`
}

// Validate asks for what is missing.
func (in loginFactorRequest) Validate() (bad []fault.Field) {
	if in.ChallengeToken.IsZero() {
		bad = append(bad, required("challenge_token"))
	}
	return append(bad, codeOrCredential(in.Code, in.Credential)...)
}

func (a *API) loginFactor(ctx context.Context, in loginFactorRequest) (entryResponse, error) {
	entry, err := a.opts.Core.LoginFactor(ctx, identity.FactorInput{
		Challenge: in.ChallengeToken.String, Code: in.Code.String, Passkey: in.Credential.raw, Client: client(ctx, ""),
	})
	if err != nil {
		return entryResponse{}, err
	}
	session, err := deliver(ctx, entry.Tokens)
	return entryResponse{newUser(entry.User), session}, err
}

type stepUpRequest struct {
	Password   hidden     `json:"password"`
	Code       hidden     `json:"code"`
	Credential credential `json:"credential"`
}

// Validate asks for one of the three.
func (in stepUpRequest) Validate() []fault.Field {
	if !in.Password.given {
		return codeOrCredential(in.Code, in.Credential)
	}
	if in.Code.given || in.Credential.given() {
		return []fault.Field{{Field: "code", Code: "REQUIRED", Detail: "give one of code, credential and password"}}
	}
	return nil
}

func (a *API) stepUp(ctx context.Context, caller principal.Principal, in stepUpRequest) (refreshResponse, error) {
	tokens, err := a.opts.Core.StepUp(ctx, caller, identity.StepUpInput{
		Password: in.Password.String, Code: in.Code.String, Passkey: in.Credential.raw, Client: client(ctx, ""),
	})
	if err != nil {
		return refreshResponse{}, err
	}
	session, err := deliver(ctx, tokens)
	return refreshResponse{session}, err
}

type factorBody = wire.Factor

type factorsResponse struct {
	Items             []factorBody `json:"items"`
	RecoveryCodesLeft int          `json:"recovery_codes_left"`
}

func (a *API) listFactors(ctx context.Context, caller principal.Principal, _ empty) (factorsResponse, error) {
	l, err := a.opts.Core.ListFactors(ctx, caller)
	return newFactors(l), err
}

func newFactors(l identity.FactorList) factorsResponse {
	body := factorsResponse{Items: make([]factorBody, 0, len(l.Factors)), RecoveryCodesLeft: l.RecoveryCodesLeft}
	for _, f := range l.Factors {
		body.Items = append(body.Items, wire.NewFactor(f))
	}
	return body
}

type nameFactorRequest struct {
	ID   string `path:"id"`
	Name string `json:"name"`
}

func (a *API) nameFactor(ctx context.Context, caller principal.Principal, in nameFactorRequest) (factorBody, error) {
	f, err := a.opts.Core.RenameFactor(ctx, caller, in.ID, in.Name)
	return wire.NewFactor(f), err
}

type enrolFactorRequest struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// Validate takes the types there are.
func (in enrolFactorRequest) Validate() (bad []fault.Field) {
	if k := identity.FactorKind(in.Type); k != identity.FactorTOTP && k != identity.FactorPasskey {
		bad = append(bad, fault.Field{Field: "type", Code: "INVALID", Detail: "must be totp or passkey"})
	}
	if in.Name == "" {
		bad = append(bad, required("name"))
	}
	return bad
}

// enrolledFactorResponse has what an app needs, or what a browser needs.
type enrolledFactorResponse struct {
	Factor     factorBody      `json:"factor"`
	Secret     string          `json:"secret,omitempty"`
	OTPAuthURI string          `json:"otpauth_uri,omitempty"`
	PublicKey  json.RawMessage `json:"public_key,omitempty"`
}

// StatusCode is 201: there is a new factor.
func (enrolledFactorResponse) StatusCode() int { return http.StatusCreated }

func (a *API) enrolFactor(ctx context.Context, caller principal.Principal, in enrolFactorRequest) (enrolledFactorResponse, error) {
	if identity.FactorKind(in.Type) == identity.FactorPasskey {
		e, err := a.opts.Core.EnrolPasskey(ctx, caller, in.Name)
		return enrolledFactorResponse{Factor: wire.NewFactor(e.Factor), PublicKey: e.Options}, err
	}
	e, err := a.opts.Core.EnrolFactor(ctx, caller, in.Name)
	return enrolledFactorResponse{Factor: wire.NewFactor(e.Factor), Secret: e.Secret.Reveal(), OTPAuthURI: e.URI.Reveal()}, err
}

type confirmFactorRequest struct {
	ID         string     `path:"id"`
	Code       hidden     `json:"code"`
	Credential credential `json:"credential"`
}

// Validate asks for what is missing.
func (in confirmFactorRequest) Validate() []fault.Field {
	return codeOrCredential(in.Code, in.Credential)
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
	if in.Credential.given() {
		codes, err := a.opts.Core.ConfirmPasskey(ctx, caller, client(ctx, ""), in.ID, in.Credential.raw)
		return newRecoveryCodes(codes), err
	}
	codes, err := a.opts.Core.ConfirmFactor(ctx, caller, client(ctx, ""), in.ID, in.Code.String)
	return newRecoveryCodes(codes), err
}

func (a *API) makeRecoveryCodes(ctx context.Context, caller principal.Principal, _ empty) (recoveryCodesResponse, error) {
	codes, err := a.opts.Core.NewRecoveryCodes(ctx, caller, client(ctx, ""))
	return newRecoveryCodes(codes), err
}

type removeFactorRequest struct {
	ID string `path:"id"`
}

func (a *API) removeFactor(ctx context.Context, caller principal.Principal, in removeFactorRequest) (web.NoContent, error) {
	return web.NoContent{}, a.opts.Core.RemoveFactor(ctx, caller, client(ctx, ""), in.ID)
}
