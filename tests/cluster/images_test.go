package cluster

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// The release that is installed first, and the one after it.
const (
	release = "0.0.1-test"
	next    = "0.0.2-test"
)

var services = []string{"auth-svc", "files-svc", "gateway"}

// The images of what a release stands on: named by the environment, or made by tests/images.
var storeImages = map[string]string{
	"postgres": named("CLOAKROOM_TEST_POSTGRES_IMAGE", "cloakroom-test/postgres:15"),
	"redis":    named("CLOAKROOM_TEST_REDIS_IMAGE", "cloakroom-test/redis:7"),
	"bucket":   named("CLOAKROOM_TEST_S3_IMAGE", "cloakroom-test/versitygw:1"),
}

// The image of what stands in front: named by the environment, or made by tests/cluster/front/image.
var frontImage = named("CLOAKROOM_TEST_FRONT_IMAGE", frontsOwn)

const frontsOwn = "cloakroom-test/front:1"

func named(variable, otherwise string) string {
	if name := os.Getenv(variable); name != "" {
		return name
	}
	return otherwise
}

var loaded sync.Once

// images makes both releases and hands them to the cluster.
func (c *cluster) images(t *testing.T) {
	t.Helper()
	loaded.Do(func() {
		if os.Getenv("CLUSTER_SITE") != "" {
			return
		}
		c.make(t, release)
		c.make(t, next, "GOFLAGS=-overlay="+c.overlay(t))
		var names []string
		for _, service := range services {
			names = append(names, "cloakroom/"+service+":"+release, "cloakroom/"+service+":"+next)
		}
		for _, image := range storeImages {
			names = append(names, image)
		}
		if frontImage == frontsOwn && len(c.load) > 0 {
			must[string](t, "make the image of the front")(c.run("", nil, "tests/cluster/front/image", frontImage))
		}
		c.hand(t, append(names, frontImage)...)
	})
}

// make makes the images of a release, as `make images` does.
func (c *cluster) make(t *testing.T, tag string, env ...string) {
	t.Helper()
	if os.Getenv("CLUSTER_REUSE") != "" { // for whoever works on the steps, and not on what is in the images
		return
	}
	args := append([]string{"CGO_ENABLED=0"}, env...)
	args = append(args, "go", "run", "cloakroom.dev/stack/images", "make", "-load", "-tag", tag, "-version", tag, "-out", t.TempDir())
	must[string](t, "make the images of "+tag)(c.run("", nil, "env", append(args, services...)...))
}

// hand gives images to the cluster. Without a command for that they must be where it pulls from.
func (c *cluster) hand(t *testing.T, names ...string) {
	t.Helper()
	if len(c.load) == 0 {
		t.Logf("nothing loads images into this cluster (CLOAKROOM_TEST_CLUSTER_LOAD): it must find %v by itself", names)
		return
	}
	must[string](t, "load images")(c.run("", nil, c.load[0], append(c.load[1:len(c.load):len(c.load)], names...)...))
}

// overlay is this source with one more migration for each service: what the next release is. A column is
// added, as releases do; the release before knows nothing of it.
func (c *cluster) overlay(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for service, table := range map[string]string{"auth-svc": "users", "files-svc": "files"} {
		file := filepath.Join(dir, service+".sql")
		text := "-- +goose Up\nALTER TABLE " + table + " ADD COLUMN of_the_next_release TEXT;\n"
		must[struct{}](t, "write a migration")(struct{}{}, os.WriteFile(file, []byte(text), 0o600))
		replace[filepath.Join(c.root, service, "internal/adapter/postgres/migrations/99999_of_the_next_release.sql")] = file
	}
	text := must[[]byte](t, "write an overlay")(json.Marshal(map[string]any{"Replace": replace}))
	path = filepath.Join(dir, "overlay.json")
	must[struct{}](t, "write an overlay")(struct{}{}, os.WriteFile(path, text, 0o600))
	return path
}
