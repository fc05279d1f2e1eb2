package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// export is everything the auth service holds about a person, but for the history, which is written after it, row by row.
type export struct {
	ExportedAt  web.Time               `json:"exported_at"`
	User        User                   `json:"user"`
	LastLoginAt *web.Time              `json:"last_login_at"`
	Permissions []principal.Permission `json:"effective_permissions"`
	Sessions    []Device               `json:"sessions"`
	APIKeys     []APIKey               `json:"api_keys"`
	CameFrom    []cameFrom             `json:"came_from"`
	Identities  []ExternalIdentity     `json:"identities"`
	Factors     []Factor               `json:"factors"`
	CodesLeft   int                    `json:"recovery_codes_left"`
}

// cameFrom says who the person was in a system that people were imported from.
type cameFrom struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// WriteExport writes everything the auth service holds about a person as one JSON document. The history has no bound, so it is written
// as it is read. begin is called once, before the first byte: until then a failure leaves w untouched.
func WriteExport(ctx context.Context, core *identity.Service, caller principal.Principal, userID string, w io.Writer, begin func()) error {
	separator := ""
	err := core.Export(ctx, caller, userID, func(e identity.Export) error {
		head, err := json.Marshal(newExport(e, caller.SessionID))
		if err != nil {
			return err
		}
		begin()
		_, err = fmt.Fprintf(w, `%s,"history":[`, head[:len(head)-1]) // the object goes on
		return err
	}, func(e identity.AuditEntry) error {
		row, err := json.Marshal(NewAuditEntry(e))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s%s", separator, row)
		separator = ","
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "]}\n")
	return err
}

func newExport(e identity.Export, current string) export {
	out := export{
		ExportedAt: web.Time(e.At), User: NewUser(e.User), LastLoginAt: TimeOrNull(e.User.LastLoginAt),
		Permissions: OrEmpty(e.Rights.Permissions), Sessions: []Device{}, APIKeys: []APIKey{}, CameFrom: []cameFrom{},
		Factors: []Factor{}, CodesLeft: e.Factors.RecoveryCodesLeft,
		Identities: NewExternalIdentities(e.Identities),
	}
	for _, s := range e.Sessions {
		out.Sessions = append(out.Sessions, NewDevice(s, current))
	}
	for _, k := range e.APIKeys {
		out.APIKeys = append(out.APIKeys, NewAPIKey(k))
	}
	for _, f := range e.CameFrom {
		out.CameFrom = append(out.CameFrom, cameFrom{f.Source, f.ID})
	}
	for _, f := range e.Factors.Factors {
		out.Factors = append(out.Factors, NewFactor(f))
	}
	return out
}
