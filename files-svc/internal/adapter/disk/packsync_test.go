package disk_test

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/libs/fault"
)

// A round shares one sync of the pack; the directory is synced for the pack's name, once.
func TestPack_SyncsARoundOnce(t *testing.T) {
	const writers, rounds = 32, 8
	var packs, names atomic.Int64
	b := open(t, t.TempDir(), disk.Options{Syncing: func(f *os.File) error {
		if isPack(f) {
			packs.Add(1)
		} else {
			names.Add(1)
		}
		return f.Sync()
	}})
	putAtOnce(t, b, writers, rounds)
	t.Logf("%d commits shared %d syncs of the pack", writers*rounds, packs.Load())
	if packs.Load() >= writers*rounds || names.Load() != 3 { // of the root, the epoch and the bucket
		t.Errorf("%d syncs of the pack and %d of directories", packs.Load(), names.Load())
	}
}

// After a failed write or sync nobody knows what a pack holds: the round is refused, and nothing is ever added. The next blobs are
// files.
func TestPack_TakesNothingAfterAFailure(t *testing.T) {
	for says, fails := range map[string]func(disk.Call) bool{
		"sync":  func(c disk.Call) bool { return c.Kind == disk.CallSync && isPack(c.File) },
		"write": func(c disk.Call) bool { return c.Kind == disk.CallPatch },
		"made":  func(c disk.Call) bool { return c.Kind == disk.CallCreate },
	} {
		t.Run(says, func(t *testing.T) {
			folder := t.TempDir()
			var broken, touched atomic.Bool
			b := open(t, folder, disk.Options{Around: func(c disk.Call, do func() error) error {
				if fails(c) && broken.Load() {
					broken.Store(false)
					touched.Store(true)
					return syscall.EIO
				}
				if touched.Load() && (c.Kind == disk.CallPatch || c.Kind == disk.CallSync && isPack(c.File)) {
					t.Errorf("%s of a pack after its failure", c.Kind)
				}
				return do()
			}})
			if says != "made" {
				if err := put(t, b, 1); err != nil {
					t.Fatal(err)
				}
			}
			broken.Store(true)
			if err := put(t, b, 2); !errors.Is(err, fault.Of(fault.Unavailable)) {
				t.Errorf("got %v, want Unavailable", err)
			}
			if err := put(t, b, 3); err != nil {
				t.Errorf("the next blob: %v", err)
			}
			wantBytes(t, b, 3, []byte("content"))
			if says != "made" {
				wantBytes(t, b, 1, []byte("content"))
			}
		})
	}
}

// The name of a new pack is durable before anything in it is answered.
func TestPack_NameThatIsNotDurableIsNotAnswered(t *testing.T) {
	var fail atomic.Bool
	b := open(t, t.TempDir(), disk.Options{
		At: func(step string) error {
			fail.Store(fail.Load() || step == disk.StepPackMade)
			return nil
		},
		Syncing: func(f *os.File) error {
			if !isPack(f) && fail.Load() {
				return syscall.EIO
			}
			return f.Sync()
		},
	})
	if err := put(t, b, 1); !errors.Is(err, fault.Of(fault.Unavailable)) {
		t.Errorf("got %v, want Unavailable", err)
	}
}
