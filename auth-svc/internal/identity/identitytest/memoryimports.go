package identitytest

import (
	"cmp"
	"context"
	"slices"

	"cloakroom.dev/auth-svc/internal/identity"
)

type foreignKey struct{ source, id string }

// importBox is what a store keeps of imports.
type importBox struct {
	foreignIDs map[foreignKey]string
	imports    map[string]identity.ImportState
}

func newImportBox() importBox {
	return importBox{foreignIDs: map[foreignKey]string{}, imports: map[string]identity.ImportState{}}
}

func (tx *memoryTx) ForeignPerson(_ context.Context, source, foreignID string) (string, error) {
	return find(tx.foreignIDs, foreignKey{source, foreignID})
}

func (tx *memoryTx) InsertForeignID(_ context.Context, f identity.ForeignID) error {
	if _, err := find(tx.users, f.UserID); err != nil {
		return err
	}
	if _, err := find(tx.foreignIDs, foreignKey{f.Source, f.ID}); err == nil {
		return errMoved
	}
	return put(tx, tx.foreignIDs, foreignKey{f.Source, f.ID}, f.UserID)
}

func (tx *memoryTx) ForeignIDsOf(_ context.Context, userID string) (out []identity.ForeignID, _ error) {
	for k, owner := range tx.foreignIDs {
		if owner == userID {
			out = append(out, identity.ForeignID{UserID: owner, Source: k.source, ID: k.id})
		}
	}
	slices.SortFunc(out, func(a, b identity.ForeignID) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

func (tx *memoryTx) ForeignIDs(_ context.Context, source, after string, limit int) (out []identity.ForeignID, _ error) {
	for k, owner := range tx.foreignIDs {
		if k.source == source && k.id > after {
			out = append(out, identity.ForeignID{UserID: owner, Source: k.source, ID: k.id})
		}
	}
	slices.SortFunc(out, func(a, b identity.ForeignID) int { return cmp.Compare(a.ID, b.ID) })
	return out[:min(limit, len(out))], nil
}

func (tx *memoryTx) dropForeignIDs(userID string) {
	for k, owner := range tx.foreignIDs {
		if owner == userID {
			_ = remove(tx, tx.foreignIDs, k)
		}
	}
}

func (tx *memoryTx) ImportState(_ context.Context, source string) (identity.ImportState, error) {
	return find(tx.imports, source)
}

func (tx *memoryTx) PutImportState(_ context.Context, s identity.ImportState) error {
	s.Refused = slices.Clone(s.Refused)
	return put(tx, tx.imports, s.Source, s)
}

func (tx *memoryTx) HashKinds(_ context.Context, limit int) (kinds []string, _ error) {
	for _, u := range tx.users {
		if kind := identity.HashKind(u.PasswordHash); kind != "" {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	return kinds[:min(limit, len(kinds))], nil
}
