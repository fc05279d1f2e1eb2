package usermanagement

import (
	"net/http"
	"slices"
	"strconv"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/identity"
)

func (a api) me(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	u, err := a.Core.Me(r.Context(), caller)
	if err != nil {
		return err
	}
	shown, err := a.withRights(r.Context(), caller, u.User)
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, struct {
		Success bool `json:"success"`
		User    user `json:"user"`
	}{true, shown[0]})
}

func (a api) get(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	u, err := a.Core.GetUser(r.Context(), caller, web.Var(r, "id"))
	if err != nil {
		return err
	}
	shown, err := a.withRights(r.Context(), caller, u)
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, found{true, shown[0]})
}

const defaultPerPage = 25

func (a api) list(w http.ResponseWriter, r *http.Request, caller principal.Principal) error {
	page, err := number(r, "page", 1)
	if err != nil {
		return err
	}
	perPage, err := number(r, "per_page", defaultPerPage)
	if err != nil {
		return err
	}
	order, err := orderOf(r)
	if err != nil {
		return err
	}
	people, err := a.Core.PageUsers(r.Context(), caller, order, page, perPage)
	if err != nil {
		return err
	}
	shown, err := a.withRights(r.Context(), caller, people...)
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, found{true, shown})
}

func number(r *http.Request, name string, otherwise int) (int, error) {
	given := r.URL.Query()[name]
	if len(given) == 0 {
		return otherwise, nil
	}
	n, err := strconv.Atoi(given[0])
	if err != nil || len(given) > 1 || n < 1 {
		return 0, fault.New(fault.Invalid, "Invalid request. `"+name+"` query string accepts only integer values.")
	}
	return n, nil
}

// fields are what this contract's clients can order by. Ids grow with time.
var fields = map[string]identity.UserField{
	"": identity.ByCreation, "_id": identity.ByCreation, "created_at": identity.ByCreation,
	"updated_at": identity.ByChange, "username": identity.ByUsername,
}

// orderOf reads the order: the newest first, unless asked otherwise.
func orderOf(r *http.Request) (identity.UserOrder, error) {
	q := r.URL.Query()
	by, known := fields[q.Get("order_by")]
	if !known || len(q["order_by"]) > 1 {
		return identity.UserOrder{}, fault.New(fault.Invalid, "Invalid request. `order_by` accepts only _id, username, created_at or updated_at.")
	}
	kind := q.Get("order_type")
	if (kind != "" && kind != "asc" && kind != "desc") || len(q["order_type"]) > 1 {
		return identity.UserOrder{}, fault.New(fault.Invalid, "Invalid request. `order_type` query string accepts only `asc` or `desc` values.")
	}
	return identity.UserOrder{By: by, Descending: kind != "asc"}, nil
}

type newPerson struct {
	Username    string       `json:"username"`
	Password    string       `json:"password"`
	Roles       *[]string    `json:"roles"`
	Permissions []permission `json:"permissions"`
}

func (p newPerson) check() error {
	switch {
	case p.Username == "" && p.Password == "" && p.Roles == nil && p.Permissions == nil:
		return fault.New(fault.Invalid, "Invalid request. Request body is empty.")
	case p.Username == "":
		return fault.New(fault.Invalid, "Username is empty.")
	case p.Password == "":
		return fault.New(fault.Invalid, "Password is empty.")
	}
	return nil
}

const tokenHeader = "X-Auth-Token"

// create is for everyone: with the bootstrap token it makes an administrator, with the cookie of somebody who may whoever they
// ask for, and otherwise a guest.
func (a api) create(w http.ResponseWriter, r *http.Request) error {
	var in newPerson
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	var u user
	var err error
	if len(r.CookiesNamed(accessCookie)) > 0 && r.Header.Get(tokenHeader) == "" {
		u, err = a.createFor(r, in)
	} else {
		u, err = a.signUp(r, in)
	}
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusAccepted, found{true, created{u, true, u.ID}})
}

// created is a new person, with what a driver of MongoDB says of an insertion: clients of the seed read the id there.
type created struct {
	user
	Acknowledged bool   `json:"acknowledged"`
	InsertedID   string `json:"insertedId"`
}

var errOnlyAdmin = fault.New(fault.Forbidden, "Forbidden access.")

func (a api) signUp(r *http.Request, in newPerson) (user, error) {
	asksForMore := len(in.Permissions) > 0 || (in.Roles != nil && !slices.Equal(*in.Roles, []string{identity.RoleGuest}))
	if asksForMore && r.Header.Get(tokenHeader) == "" {
		return user{}, errOnlyAdmin
	}
	entry, err := a.Core.Signup(r.Context(), dialect.Names(identity.SignupInput{
		Password: secret.NewString(in.Password), Client: a.Client(r), NoSession: true,
		BootstrapToken: secret.NewString(r.Header.Get(tokenHeader)),
	}, in.Username))
	return newUser(entry.User, entry.Rights.Permissions), err
}

func (a api) createFor(r *http.Request, in newPerson) (user, error) {
	caller, err := a.byCookie(r)
	if err != nil {
		return user{}, err
	}
	want := dialect.Names(identity.SignupInput{}, in.Username)
	n := identity.NewUser{
		Email: want.Email, Phone: want.Phone, Username: want.Username, Password: secret.NewString(in.Password), Client: a.Client(r),
	}
	if in.Roles != nil {
		n.Roles = append([]string{}, *in.Roles...)
	}
	if n.Permissions, err = readPermissions(in.Permissions); err != nil {
		return user{}, err
	}
	u, err := a.Core.CreateUser(r.Context(), caller, n)
	if err != nil {
		return user{}, err
	}
	shown, err := a.withRights(r.Context(), caller, u)
	if err != nil {
		return user{}, err
	}
	return shown[0], nil
}
