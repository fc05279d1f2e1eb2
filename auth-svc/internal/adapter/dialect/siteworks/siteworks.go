// Package siteworks speaks the contract of the SiteWorks back end: /api/auth/… with {success, message, user, tokens}, and
// failures as {success: false, error: {code, message}}.
//
// Its password rules, the life of its tokens and its limits are configuration (SessionPolicy, RateLimitPolicy, Route); here
// are only its words.
package siteworks

import (
	"net/http"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/identity"
)

type api struct{ dialect.Deps }

// New makes the dialect.
func New(deps dialect.Deps) dialect.Surface {
	a, m := api{deps}, web.NewMux()
	m.Post("/api/auth/register", "siteworks.register", web.Func(a.register))
	m.Post("/api/auth/login", "siteworks.login", web.Func(a.login))
	m.Post("/api/auth/refresh", "siteworks.refresh", web.Func(a.refresh))
	m.Post("/api/auth/logout", "siteworks.logout", a.Guarded(a.logout))
	m.Post("/api/auth/logout-all", "siteworks.logout_all", a.Guarded(a.logoutAll))
	m.Get("/api/auth/profile", "siteworks.profile.get", a.Guarded(a.profile))
	m.Put("/api/auth/profile", "siteworks.profile.update", a.Guarded(a.updateProfile))
	m.Put("/api/auth/change-password", "siteworks.change_password", a.Guarded(a.changePassword))
	return dialect.Surface{Routes: m, Shape: dialect.Shaped(shape)}
}

type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Name     string `json:"name"`
}

func (c *credentials) read(w http.ResponseWriter, r *http.Request) error {
	if err := dialect.Decode(w, r, c); err != nil {
		return err
	}
	return dialect.Need(dialect.Field{Name: "email", Value: c.Email}, dialect.Field{Name: "password", Value: c.Password})
}

func (a api) register(w http.ResponseWriter, r *http.Request) error {
	var in credentials
	if err := in.read(w, r); err != nil {
		return err
	}
	entry, err := a.Core.Signup(r.Context(), identity.SignupInput{
		Email: in.Email, Password: secret.NewString(in.Password), Name: in.Name, Client: a.Client(r),
	})
	if err != nil {
		return err
	}
	u := newUser(entry.User)
	u.CreatedAt = at(entry.User.CreatedAt)
	return dialect.Write(w, http.StatusCreated, answer{
		Success: true, Message: "User registered successfully", User: &u, Tokens: newTokens(entry.Tokens),
	})
}

func (a api) login(w http.ResponseWriter, r *http.Request) error {
	var in credentials
	if err := in.read(w, r); err != nil {
		return err
	}
	entry, err := a.Login(r, identity.LoginInput{
		Identifier: in.Email, Password: secret.NewString(in.Password), Client: a.Client(r),
	})
	if err != nil {
		return err
	}
	u := newUser(entry.User)
	u.LastLoginAt = at(entry.User.LastLoginAt)
	return dialect.Write(w, http.StatusOK, answer{Success: true, Message: "Login successful", User: &u, Tokens: newTokens(entry.Tokens)})
}

type refreshBody struct {
	RefreshToken string `json:"refreshToken"`
}

func (a api) refresh(w http.ResponseWriter, r *http.Request) error {
	var in refreshBody
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	if err := dialect.Need(dialect.Field{Name: "refreshToken", Value: in.RefreshToken}); err != nil {
		return err
	}
	tokens, err := a.Core.Refresh(r.Context(), secret.NewString(in.RefreshToken), a.Client(r))
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, answer{Success: true, Message: "Token refreshed successfully", Tokens: newTokens(tokens)})
}

// logout ends the session of the bearer, and its refresh token with it, whatever the body says.
func (a api) logout(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	if err := a.Core.Logout(r.Context(), caller); err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, answer{Success: true, Message: "Logout successful"})
}

func (a api) logoutAll(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	if _, err := a.Core.LogoutAll(r.Context(), caller, false); err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, answer{Success: true, Message: "Logged out from all devices"})
}

func (a api) profile(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	u, err := a.Core.Me(r.Context(), caller)
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, answer{Success: true, User: wholeUser(u.User)})
}

func (a api) updateProfile(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	var in struct {
		Name *string `json:"name"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	if in.Name == nil {
		return dialect.Need(dialect.Field{Name: "name"})
	}
	u, err := a.Core.UpdateMe(r.Context(), caller, identity.UserChange{Name: in.Name, Client: a.Client(r)})
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, answer{Success: true, Message: "Profile updated successfully", User: wholeUser(u.User)})
}

func (a api) changePassword(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	var in struct {
		CurrentPassword string `json:"currentPassword"`
		NewPassword     string `json:"newPassword"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	err := dialect.Need(
		dialect.Field{Name: "currentPassword", Value: in.CurrentPassword}, dialect.Field{Name: "newPassword", Value: in.NewPassword})
	if err != nil {
		return err
	}
	err = a.Core.ChangePassword(r.Context(), caller, a.Client(r), secret.NewString(in.CurrentPassword), secret.NewString(in.NewPassword))
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, answer{Success: true, Message: "Password changed successfully"})
}

// shape is how siteworks fails. Codes and statuses are ours where it has none of its own: they were made after them.
func shape(doc problem.Document, err error) (int, any) {
	out := failure{Error: failureError{Code: doc.Code, Message: doc.Detail}}
	if out.Error.Message == "" {
		out.Error.Message = doc.Title
	}
	for _, f := range doc.Errors {
		if f.Field == "new_password" {
			f.Field = "newPassword"
		}
		out.Errors = append(out.Errors, failureField{Field: f.Field, Message: f.Detail})
	}
	switch fault.KindOf(err) {
	case fault.TokenStale: // its clients refresh then, which is what helps
		out.Error.Code = "TOKEN_EXPIRED"
	case fault.InvalidCurrentPassword:
		return http.StatusBadRequest, out
	}
	return doc.Status, out
}
