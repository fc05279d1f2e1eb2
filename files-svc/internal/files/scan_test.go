package files_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
)

// nose is a scanner that finds what it is told to.
type nose struct{ err error }

func (n nose) Scan(_ context.Context, content io.Reader, size int64) (files.Verdict, error) {
	b, err := io.ReadAll(content)
	if err != nil || int64(len(b)) != size || n.err != nil {
		return files.Verdict{}, errors.Join(err, n.err)
	}
	if strings.Contains(string(b), "evil") {
		return files.Verdict{Name: "Evil.Test"}, nil
	}
	return files.Verdict{}, nil
}

func TestScan_InfectedGoesIntoQuarantine(t *testing.T) {
	k := newKept(t, func(o *files.Options) {
		o.Scan.Scanner, o.Policy = nose{}, func() files.Policy { return files.Policy{KeepVersions: 3} }
	})
	good, bad := k.must(k.create("good", "good")), k.must(k.create("bad", "so evil"))
	if _, err := k.read(good.ID); err != nil {
		t.Error(err)
	}
	if got, err := k.read(bad.ID); !errors.Is(err, fault.Of(fault.Forbidden)) {
		t.Errorf("read %q, %v", got, err)
	}
	k.scrub(files.ScrubPass{}) // its bytes are what they were: it stays where it is
	if got, err := k.read(bad.ID); !errors.Is(err, fault.Of(fault.Forbidden)) {
		t.Errorf("after a scrub: read %q, %v", got, err)
	}
	ctx := filestest.As(t.Context(), ann)
	if _, err := k.Replace(ctx, ann, good.ID, files.NewContent{Size: 4}, strings.NewReader("evil")); err != nil {
		t.Fatal(err)
	}
	if _, err := k.read(good.ID); !errors.Is(err, fault.Of(fault.Forbidden)) {
		t.Errorf("the new content: %v", err)
	}
	if c, err := k.OpenVersion(ctx, ann, good.ID, 1); err != nil {
		t.Errorf("the old content: %v", err)
	} else {
		_ = c.Close()
	}
	if fmt.Sprint(k.meter.scanned) != "[clean infected infected]" {
		t.Errorf("heard %v", k.meter.scanned)
	}
	filestest.Audit(t, filestest.Stores{Catalog: k.catalog, Blobs: k.blobs}, ann)
}

func TestScan_WhatCouldNotBeScanned(t *testing.T) {
	away, large := errors.New("connection refused"), fault.New(fault.TooLarge, "too large")
	for _, c := range []struct {
		says string
		scan files.Scan
		want fault.Kind
		ok   bool
	}{
		{"away, refused", files.Scan{Scanner: nose{away}}, fault.Unavailable, false},
		{"away, allowed", files.Scan{Scanner: nose{away}, AllowUnavailable: true}, 0, true},
		{"away, only large ones allowed", files.Scan{Scanner: nose{away}, AllowOversize: true}, fault.Unavailable, false},
		{"large, refused", files.Scan{Scanner: nose{large}}, fault.TooLarge, false},
		{"large, allowed", files.Scan{Scanner: nose{large}, AllowOversize: true}, 0, true},
	} {
		k := newKept(t, func(o *files.Options) { o.Scan = c.scan })
		f, err := k.create("a", "abc")
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, fault.Of(c.want)) {
			t.Errorf("%s: got %v", c.says, err)
		}
		if c.ok {
			if _, err := k.read(f.ID); err != nil {
				t.Errorf("%s: %v", c.says, err)
			}
		}
		filestest.Audit(t, filestest.Stores{Catalog: k.catalog, Blobs: k.blobs}, ann)
		if keys := k.blobs.Keys(); !c.ok && len(keys) > 0 {
			t.Errorf("%s: left %v", c.says, keys)
		}
	}
}
