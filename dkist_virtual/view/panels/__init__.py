"""Draw pictures, profiles and strips with Bokeh."""
