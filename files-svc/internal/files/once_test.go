package files_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
)

// Whoever makes more keyed uploads within a day than answers are kept of one person loses the oldest answers, and it is counted.
func TestCreate_AnswersForgottenEarlyAreCounted(t *testing.T) {
	const kept = 10_000
	meter, catalog := &ear{reaped: map[string]int{}}, filestest.NewCatalog()
	s := filestest.New(t, filestest.Stores{Catalog: catalog, Blobs: filestest.NewBlobs()}, files.Options{Meter: meter})
	err := catalog.Write(t.Context(), func(tx files.Tx) error {
		var errs []error
		for n := range kept - 1 {
			r := files.Receipt{Owner: ann, At: time.Now().Add(time.Duration(n-kept) * time.Second), Answer: []byte("{}")}
			binary.BigEndian.PutUint32(r.Key[:], uint32(n))
			errs = append(errs, tx.SaveReceipt(context.Background(), r))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1, 2} {
		if _, err := create(t, s, files.NewFile{Name: "f", Key: string(rune('a' + i))}); err != nil {
			t.Fatal(err)
		}
		if got := meter.reaped["receipt_early"]; got != want {
			t.Errorf("after %d more: %d counted, want %d", i+1, got, want)
		}
	}
}
