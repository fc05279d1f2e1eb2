package httpapi

import (
	"context"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
)

type updateUserRequest struct {
	ID     string          `path:"id"`
	Status identity.Status `json:"status"`
}

// Validate asks for what is missing, and knows the two statuses there are.
func (in updateUserRequest) Validate() []fault.Field {
	switch in.Status {
	case identity.Active, identity.Blocked:
		return nil
	case "":
		return []fault.Field{required("status")}
	default:
		return []fault.Field{{Field: "status", Code: "INVALID", Detail: "status is active or blocked"}}
	}
}

func (a *API) updateUser(ctx context.Context, caller principal.Principal, in updateUserRequest) (userBody, error) {
	u, err := a.opts.Core.SetStatus(ctx, caller, in.ID, in.Status)
	return newUser(u), err
}
