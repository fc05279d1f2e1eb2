package filessvc

import (
	"fmt"
	"math"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/adapter/s3"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/api/v1alpha1"
)

// blobStore is a store of bytes that is closed in the end.
type blobStore interface {
	files.Blobs
	Close() error
}

// openBlobs opens the store of bytes that the boot object names. A bucket is not asked whether it is there: it may be
// away for a moment.
func openBlobs(cfg Config, deps Deps, why opening) (blobStore, error) {
	spec := cfg.Boot.Spec
	switch {
	case spec.Blobs.Disk != nil:
		folder := cfg.path(spec.Blobs.Disk.Path)
		if why == toLook {
			if _, err := os.Stat(folder); err != nil {
				return nil, fmt.Errorf("open what is to be checked: %w", err)
			}
		}
		bytes, err := disk.New(folder, disk.Options{KeepFree: spec.KeepFree.Bytes()})
		if err != nil {
			return nil, fmt.Errorf("open the folder of blobs: %w", err)
		}
		meterDisk(deps.Registerer, bytes, spec.KeepFree.Bytes())
		promauto.With(deps.Registerer).NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_files_packed_read_bytes", Help: "Bytes of small blobs held for their readers; at most 16 MiB, beyond it they are read in pieces.",
		}, func() float64 { return float64(bytes.Held()) })
		return bytes, nil
	case spec.Blobs.S3 != nil:
		return openS3(cfg, *spec.Blobs.S3, deps)
	default:
		return nil, errNoStore
	}
}

// meterDisk shows how much room there is, asked for at each scrape, beside how much is left to others. What can't be asked is NaN: it
// is neither full nor empty.
func meterDisk(reg prometheus.Registerer, bytes *disk.Blobs, keepFree int64) {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_files_disk_free_bytes", Help: "Bytes that may still be written to the filesystem of the blobs; at keepFree uploads are refused.",
	}, func() float64 {
		free, err := bytes.Free()
		if err != nil {
			return math.NaN()
		}
		return float64(free)
	})
	f.NewGauge(prometheus.GaugeOpts{
		Name: "cloakroom_files_disk_keep_free_bytes", Help: "keepFree: bytes of the filesystem that uploads leave to others.",
	}).Set(float64(keepFree))
}

func openS3(cfg Config, at v1alpha1.S3Blobs, deps Deps) (blobStore, error) {
	access, err := cfg.secret(at.AccessKey)()
	if err != nil {
		return nil, fmt.Errorf("read the access key of the bucket: %w", err)
	}
	private, err := cfg.secret(at.SecretKey)()
	if err != nil {
		return nil, fmt.Errorf("read the secret key of the bucket: %w", err)
	}
	var ca []byte
	if at.CAFile != "" {
		if ca, err = os.ReadFile(cfg.path(at.CAFile)); err != nil {
			return nil, fmt.Errorf("read the certificates of the store: %w", err)
		}
	}
	bytes, err := s3.New(s3.Options{
		Endpoint: string(at.Endpoint), Public: string(at.PublicEndpoint), Region: at.Region, Bucket: at.Bucket, Prefix: at.Prefix, PathStyle: at.PathStyle,
		AccessKey: access, SecretKey: private, CA: ca, Checksums: s3.Checksums(at.Checksums),
		PartBytes: int(at.PartSize.Bytes()), Memory: int(at.Memory.Bytes()), Log: deps.Log, Registerer: deps.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("open the bucket: %w", err)
	}
	return bytes, nil
}
