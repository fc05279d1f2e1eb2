//go:build linux

package embedded_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/adapter/sqlite"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
	db "cloakroom.dev/libs/sqlite"
)

// smallDisk is a folder on a disk of its own with 4 MiB. Where this user may not mount one, the suites' injected
// failures have to do.
func smallDisk(t *testing.T) (folder string, remount func(options string), ok bool) {
	t.Helper()
	folder = t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=4m"); err != nil {
		t.Logf("NOT RUN ON A REAL FULL DISK: mounting one takes root (%v)", err)
		return "", nil, false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return folder, func(options string) {
		var flags uintptr = syscall.MS_REMOUNT
		if options == "ro" {
			flags |= syscall.MS_RDONLY
		}
		if err := syscall.Mount("tmpfs", folder, "tmpfs", flags, "size=4m"); err != nil {
			t.Fatalf("remount: %v", err)
		}
	}, true
}

// openAt opens rows and bytes in two folders. Cleanups run backwards: these close before their disks are unmounted.
func openAt(t *testing.T, rows, blobs string) filestest.Stores {
	t.Helper()
	d, err := db.Open(t.Context(), filepath.Join(rows, "files.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := disk.New(blobs, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	})
	c, err := sqlite.New(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return filestest.Stores{Catalog: c, Blobs: b}
}

func TestFullDisk_Bytes(t *testing.T) {
	folder, remount, ok := smallDisk(t)
	if !ok {
		return
	}
	stores := openAt(t, t.TempDir(), folder)
	s := filestest.New(t, stores, files.Options{RestoreHorizon: -1})
	ctx := filestest.As(t.Context(), "ann")
	put := func(size int) (files.File, error) {
		nf := files.NewFile{Name: "f", Size: files.UnknownSize}
		return s.Create(ctx, "ann", nf, bytes.NewReader(make([]byte, size)))
	}
	kept, err := put(2 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := put(3 << 20); !errors.Is(err, fault.Of(fault.StorageFull)) {
		t.Errorf("got %v, want StorageFull", err)
	}
	if _, err := put(1 << 20); err != nil {
		t.Errorf("what still fits: %v", err)
	}
	remount("ro")
	if _, err := put(1); !errors.Is(err, fault.Of(fault.Unavailable)) {
		t.Errorf("read-only: got %v, want Unavailable", err)
	}
	if c, err := s.Open(ctx, "ann", kept.ID); err != nil {
		t.Errorf("read-only: open: %v", err)
	} else if err := c.Close(); err != nil {
		t.Error(err)
	}
	remount("rw")
	if err := errors.Join(s.Delete(ctx, "ann", kept.ID, true), s.Reap(ctx)); err != nil {
		t.Fatal(err)
	}
	if _, err := put(2 << 20); err != nil {
		t.Errorf("after room was made: %v", err)
	}
	filestest.Audit(t, stores, "ann")
}

func TestFullDisk_Rows(t *testing.T) {
	folder, _, ok := smallDisk(t)
	if !ok {
		return
	}
	stores := openAt(t, folder, t.TempDir())
	s := filestest.New(t, stores, files.Options{RestoreHorizon: -1})
	ctx := filestest.As(t.Context(), "ann")
	var last files.File
	var err error
	for n := 0; err == nil; n++ {
		if n > 100_000 {
			t.Fatal("the disk is never full")
		}
		var f files.File
		nf := files.NewFile{Name: strings.Repeat("n", 255), Size: 1, Metadata: files.Metadata{"k": strings.Repeat("v", 1024)}}
		if f, err = s.Create(ctx, "ann", nf, strings.NewReader("x")); err == nil {
			last = f
		}
	}
	if !errors.Is(err, fault.Of(fault.StorageFull)) {
		t.Errorf("got %v, want StorageFull", err)
	}
	c, err := s.Open(ctx, "ann", last.ID)
	if err != nil {
		t.Fatalf("reading with a full catalog: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
