package detect

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/model"
)

// start is a program that starts on a host.
func start(n int, at time.Duration, product, host, image string) *model.Observation {
	return &model.Observation{Event: fmt.Sprintf("%s-%s-%d", host, image, n), Time: noon.Add(at), Act: model.ActProcessStart, Host: host, Source: model.LogSource{Product: product},
		Entities: []model.Entity{{Type: model.Process, Value: fmt.Sprint(host, n), Role: model.Subject, Name: image}}}
}

// estate is hours of the work of some hosts that run the same programs each hour.
func estate(product string, hosts, hours int, images ...string) (out []*model.Observation) {
	for h := range hours {
		for i := range hosts {
			for j, image := range images {
				out = append(out, start(h, time.Duration(h)*time.Hour+time.Duration(i*len(images)+j)*time.Second, product, fmt.Sprint(product, i), image))
			}
		}
	}
	return out
}

func TestNewImage(t *testing.T) {
	office := []string{`C:\Windows\System32\svchost.exe`, `C:\Program Files\Office\WINWORD.EXE`, `C:\Windows\explorer.exe`, `C:\Users\ann\AppData\Local\Teams\Teams.exe`}
	day := estate("windows", 10, 30, office...)
	morning := estate("windows", 20, 8, office...)
	late := 30 * time.Hour
	var updates []*model.Observation // a new program on every third start: new is what is usual here
	for i := range 600 {
		image := office[i%4]
		if i%3 == 0 {
			image = `C:\ProgramData\pkg\` + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + `.exe`
		}
		updates = append(updates, start(i, time.Duration(i)*3*time.Minute, "windows", fmt.Sprint("windows", i%10), image))
	}
	for _, c := range []struct {
		name   string
		stream []*model.Observation
		want   int
	}{
		{"a new program", joined(day, []*model.Observation{start(1, late, "windows", "windows3", `C:\ProgramData\rclone.exe`)}), 1},
		{"told once", joined(day, []*model.Observation{start(1, late, "windows", "windows3", `C:\ProgramData\rclone.exe`), start(2, late+time.Hour, "windows", "windows4", `C:\ProgramData\rclone.exe`)}), 1},
		{"an old name at another kind of place", joined(day, []*model.Observation{start(1, late, "windows", "windows3", `C:\Users\ann\Downloads\svchost.exe`)}), 1},
		{"another version of an old one", joined(day, []*model.Observation{start(1, late, "windows", "windows3", `C:\Users\ben\AppData\Local\Teams\Teams.exe`)}), 0},
		{"a tool of the system, after a day", joined(day, []*model.Observation{start(1, late, "windows", "windows3", `C:\Windows\System32\vssadmin.exe`)}), 1},
		{"a tool of the system, on the first morning", joined(morning, []*model.Observation{start(1, 9*time.Hour, "windows", "windows3", `C:\Windows\System32\vssadmin.exe`)}), 0},
		{"what anyone can write, on the first morning", joined(morning, []*model.Observation{start(1, 9*time.Hour, "windows", "windows3", `C:\Users\ann\a.exe`)}), 1},
		{"the first hour", joined(estate("windows", 200, 1, office...), []*model.Observation{start(1, time.Hour, "windows", "windows3", `C:\Users\ann\a.exe`)}), 0},
		{"a host that nobody knows yet", joined(day, []*model.Observation{start(1, late, "windows", "new", `C:\Users\ann\a.exe`)}), 0},
		{"another platform", joined(day, []*model.Observation{start(1, 0, "linux", "web", "/usr/bin/bash"), start(1, late, "linux", "web", "/tmp/x")}), 0},
		{"where new programs are usual", joined(updates, []*model.Observation{start(1, late, "windows", "windows3", `C:\Users\ann\a.exe`)}), 0},
		{"a name without its place", joined(day, []*model.Observation{start(1, late, "windows", "windows3", "rclone.exe")}), 0},
	} {
		if got := feed(NewNewImage(), c.stream); len(got) != c.want {
			t.Errorf("%s: %d alerts, want %d", c.name, len(got), c.want)
		}
	}
}

func TestImageKind(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		if got := imageKind(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	f(`C:\Windows\System32\cmd.exe`, "system:cmd.exe")
	f(`C:\Windows\Temp\cmd.exe`, "user:cmd.exe")
	f(`C:\Program Files (x86)\A\Setup-10.2.333.exe`, "program:setup-#.#.#.exe")
	f(`D:\Tools\x.exe`, "other:x.exe")
	f("/usr/bin/python3.11", "system:python#.#")
	f("/dev/shm/.x", "user:.x")
	f("/opt/app/bin/run", "program:run")
	f("/memfd:a (deleted)", "user:memfd:a (deleted)")
	f("/home/ann/bin/x", "user:x")
	f("", "other:")
	if got := imageKind(`C:\` + string(make([]byte, 1<<16))); len(got) > maxImageName {
		t.Errorf("%d bytes", len(got))
	}
}

// What is counted is what is remembered, whatever was forgotten meanwhile.
func TestNewImageCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := NewNewImage().(*newImage)
		d.images.max = rapid.IntRange(1, 6).Draw(t, "max")
		for i := range rapid.IntRange(1, 100).Draw(t, "n") {
			product := rapid.SampledFrom([]string{"windows", "linux"}).Draw(t, "product")
			d.Observe(start(i, time.Duration(i)*40*time.Minute, product, "h", "/tmp/"+rapid.StringOfN(rapid.RuneFrom([]rune("abcd")), 1, 1, -1).Draw(t, "name")))
			starts, once := 0, 0
			for _, e := range d.images.by {
				starts += e.v.n
				if e.v.n == 1 {
					once++
				}
			}
			for _, c := range d.kinds {
				starts -= c.starts
				once -= c.once
			}
			if starts != 0 || once != 0 {
				t.Fatalf("counts are off by %d and %d", starts, once)
			}
		}
	})
}
