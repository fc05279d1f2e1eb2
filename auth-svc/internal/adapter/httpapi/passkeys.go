package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
)

// credential is what a browser's PublicKeyCredential.toJSON() gives. Its insides are the standard's and grow with it, so
// they are not held against a list of ours.
type credential struct{ raw json.RawMessage }

var errNotObject = errors.New("must be an object")

// UnmarshalJSON takes an object.
func (c *credential) UnmarshalJSON(raw []byte) error {
	if !bytes.HasPrefix(raw, []byte("{")) {
		return errNotObject
	}
	c.raw = bytes.Clone(raw)
	return nil
}

// Form tells which form it takes.
func (c *credential) Form() string { return errNotObject.Error() }

func (c credential) given() bool { return c.raw != nil }

// passkeyOptions is the `publicKey` of navigator.credentials.create or get, in its JSON form.
type passkeyOptions struct {
	PublicKey json.RawMessage `json:"public_key"`
}

func (a *API) passkeyLoginOptions(ctx context.Context, _ empty) (passkeyOptions, error) {
	options, err := a.opts.Core.AskPasskeyLogin(ctx)
	return passkeyOptions{options}, err
}

type passkeyLoginRequest struct {
	Credential credential `json:"credential"`
	DeviceName string     `json:"device_name"`
}

// Validate asks for what is missing.
func (in passkeyLoginRequest) Validate() (bad []fault.Field) {
	if !in.Credential.given() {
		bad = append(bad, required("credential"))
	}
	if utf8.RuneCountInString(in.DeviceName) > maxDeviceName {
		bad = append(bad, tooLong("device_name"))
	}
	return bad
}

func (a *API) passkeyLogin(ctx context.Context, in passkeyLoginRequest) (entryResponse, error) {
	entry, err := a.opts.Core.LoginPasskey(ctx, identity.PasskeyInput{Answer: in.Credential.raw, Client: client(ctx, in.DeviceName)})
	if err != nil {
		return entryResponse{}, err
	}
	session, err := deliver(ctx, entry.Tokens)
	return entryResponse{newUser(entry.User), session}, err
}

func (a *API) stepUpOptions(ctx context.Context, caller principal.Principal, _ empty) (passkeyOptions, error) {
	options, err := a.opts.Core.AskStepUp(ctx, caller)
	return passkeyOptions{options}, err
}

// codeOrCredential asks for exactly one of the two.
func codeOrCredential(code hidden, c credential) []fault.Field {
	switch {
	case code.given == c.given():
		return []fault.Field{{Field: "code", Code: "REQUIRED", Detail: "give either code or credential"}}
	case code.given && code.IsZero():
		return []fault.Field{required("code")}
	}
	return nil
}

type listFactorsOfRequest struct {
	ID string `path:"id"`
}

func (a *API) listUserFactors(ctx context.Context, caller principal.Principal, in listFactorsOfRequest) (factorsResponse, error) {
	l, err := a.opts.Core.ListFactorsOf(ctx, caller, in.ID)
	return newFactors(l), err
}

type resetFactorRequest struct {
	ID       string `path:"id"`
	FactorID string `path:"fid"`
}

type resetFactorsResponse struct {
	Removed int `json:"removed"`
}

func (a *API) deleteUserFactors(ctx context.Context, caller principal.Principal, in listFactorsOfRequest) (resetFactorsResponse, error) {
	n, err := a.opts.Core.ResetFactors(ctx, caller, client(ctx, ""), in.ID, "")
	return resetFactorsResponse{n}, err
}

func (a *API) deleteUserFactor(ctx context.Context, caller principal.Principal, in resetFactorRequest) (resetFactorsResponse, error) {
	n, err := a.opts.Core.ResetFactors(ctx, caller, client(ctx, ""), in.ID, in.FactorID)
	return resetFactorsResponse{n}, err
}
