package trackit

import (
	"context"
	"encoding/json"
	"net/http"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/identity"
)

func (a api) register(w http.ResponseWriter, r *http.Request, k key) error {
	var in struct {
		Username string `json:"username"`
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	err := dialect.Need(dialect.Field{Name: "username", Value: in.Username}, dialect.Field{Name: "email", Value: in.Email},
		dialect.Field{Name: "password", Value: in.Password})
	if err != nil {
		return err
	}
	client := a.client(r)
	entry, err := a.Core.Signup(r.Context(), identity.SignupInput{
		Username: in.Username, Email: in.Email, Password: secret.NewString(in.Password), Client: client,
	})
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusCreated, newEntry("Registration successful", entry, k.shown, client.DeviceName))
}

func (a api) changePassword(w http.ResponseWriter, r *http.Request, _ key) error {
	var in struct {
		Username    string `json:"username"`
		OldPassword string `json:"oldPassword"`
		NewPassword string `json:"newPassword"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	err := dialect.Need(dialect.Field{Name: "username", Value: in.Username}, dialect.Field{Name: "oldPassword", Value: in.OldPassword},
		dialect.Field{Name: "newPassword", Value: in.NewPassword})
	if err != nil {
		return err
	}
	err = a.as(r, in.Username, in.OldPassword, func(ctx context.Context, caller principal.Principal) error {
		return a.Core.ChangePassword(ctx, caller, a.client(r), secret.NewString(in.OldPassword), secret.NewString(in.NewPassword))
	})
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, done{true, "Password updated successfully"})
}

func (a api) changeUsername(w http.ResponseWriter, r *http.Request, _ key) error {
	var in struct {
		OldUsername string `json:"oldUsername"`
		NewUsername string `json:"newUsername"`
		Password    string `json:"password"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	err := dialect.Need(dialect.Field{Name: "oldUsername", Value: in.OldUsername}, dialect.Field{Name: "newUsername", Value: in.NewUsername},
		dialect.Field{Name: "password", Value: in.Password})
	if err != nil {
		return err
	}
	return a.change(w, r, in.OldUsername, in.Password, identity.UserChange{Username: &in.NewUsername}, "Username updated successfully")
}

func (a api) changeEmail(w http.ResponseWriter, r *http.Request, _ key) error {
	var in struct {
		Username string `json:"username"`
		NewEmail string `json:"newEmail"`
		Password string `json:"password"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	err := dialect.Need(dialect.Field{Name: "username", Value: in.Username}, dialect.Field{Name: "newEmail", Value: in.NewEmail},
		dialect.Field{Name: "password", Value: in.Password})
	if err != nil {
		return err
	}
	return a.change(w, r, in.Username, in.Password, identity.UserChange{Email: &in.NewEmail}, "Email updated successfully")
}

func (a api) change(w http.ResponseWriter, r *http.Request, username, password string, to identity.UserChange, told string) error {
	to.CurrentPassword, to.Client = secret.NewString(password), a.client(r)
	err := a.as(r, username, password, func(ctx context.Context, caller principal.Principal) error {
		_, err := a.Core.UpdateMe(ctx, caller, to)
		return err
	})
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, done{true, told})
}

func (a api) deleteAccount(w http.ResponseWriter, r *http.Request, _ key) error {
	var in struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	err := dialect.Need(dialect.Field{Name: "username", Value: in.Username}, dialect.Field{Name: "password", Value: in.Password})
	if err != nil {
		return err
	}
	err = a.as(r, in.Username, in.Password, func(ctx context.Context, caller principal.Principal) error {
		return a.Core.DeleteMe(ctx, caller, a.client(r), secret.NewString(in.Password))
	})
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, done{true, "Account deleted successfully"})
}

// adminUser looks a person up, for a key that may read everybody. Where TrackIt gave the hash away there is a word.
func (a api) adminUser(w http.ResponseWriter, r *http.Request, k key) error {
	var in struct {
		Username string `json:"username"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	if err := dialect.Need(dialect.Field{Name: "username", Value: in.Username}); err != nil {
		return err
	}
	u, err := a.Core.FindUser(r.Context(), k.owner, in.Username)
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, adminUser{user: newUser(u), Password: "[hashed password]"})
}

// adminEmails lists every address there is, for a key that may read everybody. There may be many: they go out page by page, and
// an answer that can't be finished is cut.
func (a api) adminEmails(w http.ResponseWriter, r *http.Request, k key) error {
	page, err := a.Core.ListUsers(r.Context(), k.owner, identity.UserFilter{}, identity.Cursor{}, pageSize)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if _, err := w.Write([]byte(`{"success":true,"emails":[`)); err != nil {
		return err
	}
	for separator := ""; ; {
		for _, u := range page.Items {
			if u.Email == "" {
				continue
			}
			quoted, err := json.Marshal(u.Email)
			if err != nil {
				return err
			}
			if _, err := w.Write(append([]byte(separator), quoted...)); err != nil {
				return err
			}
			separator = ","
		}
		if page.Next.IsZero() {
			_, err := w.Write([]byte("]}\n"))
			return err
		}
		if page, err = a.Core.ListUsers(r.Context(), k.owner, identity.UserFilter{}, page.Next, pageSize); err != nil {
			return err
		}
	}
}
