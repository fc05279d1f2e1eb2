package usermanagement

import (
	"net/http"
	"slices"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/identity"
)

// change is the body of a PATCH. What is left out stays.
type change struct {
	Username    *string       `json:"username"`
	Password    *string       `json:"password"`
	Roles       *[]string     `json:"roles"`
	Permissions *[]permission `json:"permissions"`
	Blacklisted *bool         `json:"blacklisted"`
}

func (c change) touchesRights() bool {
	return c.Roles != nil || c.Permissions != nil || c.Blacklisted != nil
}

// fields are those that are given, as the answer tells them.
func (c change) fields() map[string]bool {
	out := map[string]bool{}
	for name, given := range map[string]bool{
		"username": c.Username != nil, "password": c.Password != nil, "roles": c.Roles != nil,
		"permissions": c.Permissions != nil, "blacklisted": c.Blacklisted != nil,
	} {
		if given {
			out[name] = true
		}
	}
	return out
}

var (
	errEmpty       = fault.New(fault.Invalid, "Invalid request. Request body is empty.")
	errNotTheirs   = fault.New(fault.Forbidden, "A password is changed by the person alone.")
	errLoginAgain  = fault.New(fault.Forbidden, "Please log in again, then repeat this within five minutes.")
	errOneAtATime  = fault.New(fault.Invalid, "Change what you may do, and your own username or password, in two requests.")
	errEmptyString = fault.New(fault.Invalid, "Username and password must not be empty.")
)

func (c change) check() error {
	switch {
	case len(c.fields()) == 0:
		return errEmpty
	case (c.Username != nil && *c.Username == "") || (c.Password != nil && *c.Password == ""):
		return errEmptyString
	}
	return nil
}

func (a api) update(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	var in change
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	id := web.Var(r, "id")
	var err error
	switch own := id == caller.UserID; {
	case own && in.touchesRights() && (in.Username != nil || in.Password != nil):
		err = errOneAtATime // two changes of the core's: half of them done would be a lie either way
	case own && !in.touchesRights():
		err = a.updateOwn(r, caller, in)
	case in.Password != nil:
		err = errNotTheirs
	default:
		err = a.updateAnyone(r, caller, id, in)
	}
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, struct {
		said
		Fields map[string]bool `json:"fields_updated"`
	}{said{true, "Fields have been updated successfully."}, in.fields()})
}

// updateOwn changes the caller's username, then the password, which ends the other sessions.
func (a api) updateOwn(r *http.Request, caller principal.Principal, in change) error {
	if in.Username != nil {
		c := identity.UserChange{Lately: true, Client: a.Client(r)}
		switch dialect.KindOf(*in.Username) {
		case identity.Email:
			c.Email = in.Username
		case identity.Phone:
			c.Phone = in.Username
		default:
			c.Username = in.Username
		}
		if _, err := a.Core.UpdateMe(r.Context(), caller, c); err != nil {
			return again(err)
		}
	}
	if in.Password != nil {
		return again(a.Core.ChangePasswordLately(r.Context(), caller, a.Client(r), secret.NewString(*in.Password)))
	}
	return nil
}

// again says what this contract's clients can do about a proof that is too old.
func again(err error) error {
	if err != nil && fault.KindOf(err) == fault.Forbidden {
		return errLoginAgain
	}
	return err
}

func (a api) updateAnyone(r *http.Request, caller principal.Principal, id string, in change) error {
	edit := identity.UserEdit{Roles: in.Roles, Client: a.Client(r)}
	if in.Username != nil {
		switch dialect.KindOf(*in.Username) {
		case identity.Email:
			edit.Email = in.Username
		case identity.Phone:
			edit.Phone = in.Username
		default:
			edit.Username = in.Username
		}
	}
	if in.Blacklisted != nil {
		status := identity.Active
		if *in.Blacklisted {
			status = identity.Blocked
		}
		edit.Status = &status
	}
	if in.Permissions != nil {
		wanted, err := readPermissions(*in.Permissions)
		if err != nil {
			return err
		}
		u, err := a.Core.GetUser(r.Context(), caller, id)
		if err != nil {
			return err
		}
		// What this contract has no words for stays.
		wanted = append(wanted, slices.DeleteFunc(slices.Clone(u.Permissions), speakable)...)
		edit.Permissions = &wanted
	}
	_, err := a.Core.EditUser(r.Context(), caller, id, edit)
	return err
}

func (a api) delete(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	id := web.Var(r, "id")
	var err error
	if id == caller.UserID {
		err = again(a.Core.DeleteMeLately(r.Context(), caller, a.Client(r)))
	} else {
		err = a.Core.DeleteUser(r.Context(), caller, id)
	}
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, said{true, "The user has been deleted."})
}
