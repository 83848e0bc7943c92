package app

import (
	"fmt"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/pack"
)

// Configured is what a configuration says of reading and judging evidence, as options.
// An error names the setting.
func Configured(c config.Config, version string) (Options, error) {
	o := Options{
		Version: version, RuleDirs: c.Rules.Dirs, NoBuiltin: c.Rules.NoBuiltin, Mappings: c.Rules.Mappings,
		Workers: c.Engine.Workers, GeoIP: c.Rules.GeoIP,
	}
	for i, text := range c.Rules.Disable {
		s, err := pack.ParseSelector(text)
		if err != nil {
			return o, fmt.Errorf("rules.disable[%d]: %w", i, err)
		}
		o.Disable = append(o.Disable, s)
	}
	var err error
	if o.Zone, err = time.LoadLocation(c.Engine.Zone); err != nil {
		return o, fmt.Errorf("engine.zone: %w", err)
	}
	if c.Rules.Assets != "" {
		if o.Assets, err = ReadAssets(c.Rules.Assets); err != nil {
			return o, fmt.Errorf("rules.assets: %w", err)
		}
	}
	return o, nil
}
