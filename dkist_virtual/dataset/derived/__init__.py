"""Keep what a derived dataset takes over: mask, uncertainty, coordinates, headers, provenance.

- `attributes`: what a dataset carries beside its pixels: mask, uncertainty and coordinates that
  its user set
- `carried`: what the user of a dataset set, as coordinates and attributes of xarray
- `combined_headers`: the header table of a mosaic: the rows of its tiles, whose own tables are
  the truth
- `lineage`: what was combined into a computed dataset, and which coordinates all of that has in
  common
- `own_data`: arrays that someone computed, and what they say of their unit, mask and
  uncertainty
- `regrid`: bins and reprojection: what they make of pixels, WCS, masks, uncertainties and
  coordinates
"""
