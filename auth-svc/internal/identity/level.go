package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cloakroom.dev/libs/fault"
)

// maxHashKinds bounds what is listed; a store that has taken in five other systems has a dozen.
const maxHashKinds = 1024

// leveller tells the hasher which kinds of hashes there are, when that has changed: an import runs in another process.
type leveller struct {
	service *Service
	told    []string
	known   bool
}

func (l *leveller) keep(ctx context.Context) error {
	var kinds []string
	err := l.service.store.View(ctx, func(tx Tx) (err error) {
		kinds, err = tx.HashKinds(ctx, maxHashKinds)
		return err
	})
	if err != nil {
		return fmt.Errorf("list the kinds of hashes: %w", err)
	}
	if l.known && slices.Equal(kinds, l.told) {
		return nil
	}
	err = l.service.hasher.Expect(ctx, kinds)
	if errors.Is(err, fault.Of(fault.Overloaded)) {
		return nil // people come first; the next look tries again
	}
	if err != nil {
		return fmt.Errorf("measure the kinds of hashes: %w", err)
	}
	l.told, l.known = kinds, true
	return nil
}
