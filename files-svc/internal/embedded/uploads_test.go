package embedded_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"cloakroom.dev/files-svc/internal/files/filestest"
)

func TestUploads(t *testing.T) {
	filestest.RunUploads(t, func(t *testing.T) filestest.Stores { return openFor(t) })
}

func TestUploadModel(t *testing.T) {
	root, world := t.TempDir(), 0
	filestest.RunUploadModel(t, func() (filestest.Stores, func()) {
		world++
		folder := filepath.Join(root, strconv.Itoa(world))
		stores, closeAll, err := open(context.Background(), folder)
		if err != nil {
			t.Fatal(err)
		}
		return stores, func() {
			if err := errors.Join(closeAll(), os.RemoveAll(folder)); err != nil {
				t.Error(err)
			}
		}
	})
}
