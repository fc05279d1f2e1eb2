package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"runtime"
	"time"
)

// user is whom the programs run as: nobody that a machine knows.
const user = "65532:65532"

const nobody = 65532

// imageConfig is an image's configuration, as docker and the OCI have it. Its digest is the image's id.
type imageConfig struct {
	Architecture string          `json:"architecture"`
	OS           string          `json:"os"`
	Created      string          `json:"created"`
	Config       containerConfig `json:"config"`
	RootFS       rootFS          `json:"rootfs"`
	History      []history       `json:"history"`
}

type containerConfig struct {
	User         string              `json:"User"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts"`
	Env          []string            `json:"Env"`
	Entrypoint   []string            `json:"Entrypoint"`
	Cmd          []string            `json:"Cmd"`
	WorkingDir   string              `json:"WorkingDir"`
	Volumes      map[string]struct{} `json:"Volumes"`
	Labels       map[string]string   `json:"Labels"`
	StopSignal   string              `json:"StopSignal"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// archive makes what `docker load` takes: one layer, its configuration, and a list of both.
func archive(prog program, reference, version string, binary, authorities []byte) (image []byte, id string, err error) {
	layer, err := files(
		entry{name: "data/", mode: 0o700, owner: nobody},
		entry{name: "etc/"}, entry{name: "etc/cloakroom/"}, entry{name: "etc/ssl/"}, entry{name: "etc/ssl/certs/"},
		entry{name: "etc/ssl/certs/ca-certificates.crt", body: authorities, mode: 0o644},
		entry{name: prog.name, body: binary, mode: 0o755},
		entry{name: "tmp/", mode: 0o1777},
	)
	if err != nil {
		return nil, "", err
	}
	config, err := json.Marshal(configOf(prog, version, layer))
	if err != nil {
		return nil, "", err
	}
	id = digest(config)
	manifest, err := json.Marshal([]map[string]any{{"Config": id + ".json", "RepoTags": []string{reference}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return nil, "", err
	}
	image, err = files(entry{name: id + ".json", body: config}, entry{name: "layer.tar", body: layer}, entry{name: "manifest.json", body: manifest})
	return image, id, err
}

func configOf(prog program, version string, layer []byte) imageConfig {
	ports := map[string]struct{}{}
	for _, port := range prog.ports {
		ports[port] = struct{}{}
	}
	began := time.Unix(0, 0).UTC().Format(time.RFC3339)
	command := []string{"serve", "--config", "/etc/cloakroom"}
	env := []string{"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"}
	if prog.name == "stack" {
		command, env = []string{"serve"}, append(env, "DATA_DIR=/data")
	}
	return imageConfig{
		Architecture: runtime.GOARCH, OS: "linux", Created: began,
		Config: containerConfig{
			User: user, ExposedPorts: ports, Env: env, Entrypoint: []string{"/" + prog.name}, Cmd: command, WorkingDir: "/data",
			Volumes: map[string]struct{}{"/tmp": {}}, StopSignal: "SIGTERM",
			Labels: map[string]string{
				"org.opencontainers.image.title":       "cloakroom " + prog.name,
				"org.opencontainers.image.description": prog.about,
				"org.opencontainers.image.version":     version,
				"org.opencontainers.image.vendor":      "cloakroom.dev",
			},
		},
		RootFS:  rootFS{Type: "layers", DiffIDs: []string{"sha256:" + digest(layer)}},
		History: []history{{began, prog.name + ", certificate authorities, /tmp"}},
	}
}

// entry is a file, or a folder when its name ends in a slash. It is root's unless it has an owner.
type entry struct {
	name  string
	body  []byte
	mode  int64
	owner int
}

// files packs entries that have no time.
func files(entries ...entry) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.body)), Uid: e.owner, Gid: e.owner, Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if e.name[len(e.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.body); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
