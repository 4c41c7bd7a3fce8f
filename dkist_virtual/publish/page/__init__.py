"""Write the page of an archive: HTML with a picture of each dataset and the code to open it.

- `assets`: define the style and the script that are in every page, and the policy that allows no
  others
- `card`: make the part of a page that describes one dataset
- `picture`: make a small picture of an image
- `plane`: read one image that stands for a dataset, by few bytes
- `previews`: draw the previews of many stores
- `write`: write the page of an archive
"""
